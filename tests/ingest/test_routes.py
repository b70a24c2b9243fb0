"""Ingest over HTTP: what is taken, what is refused, and that nothing disappears."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import msgspec
import pytest
import sqlalchemy as sa

from tocsin import metrics
from tocsin.model import wire
from tocsin.model.errors import OutOfSpace
from tocsin.model.event import Event, nest
from tocsin.state.engine import reading
from tocsin.state.tables import agent

if TYPE_CHECKING:
    from httpx2 import Response
    from prometheus_client import Counter

    from ingest.conftest import Sender, Server

LAUNCH = Event(1007, {"time": 1_700_000_000_000, "activity_id": 1, "process.name": "id"})
KEY = {"Authorization": "Bearer let-me-in"}


def sampled(counter: Counter) -> float:
    """How far the counter has come."""
    return next(sample.value for metric in counter.collect() for sample in metric.samples)


def send_together(server: Server, payloads: list[bytes]) -> Response:
    """Several batches in one request."""
    return server.client.post("/ingest/batches", content=msgspec.msgpack.encode(payloads))


def test_a_batch_is_in_the_log_when_it_is_acknowledged(server: Server, sender: Sender) -> None:
    """The answer names the next sequence, and the log holds the very bytes."""
    payload = sender.seal(LAUNCH)
    answer = server.client.post("/ingest/batch", content=payload)
    assert (answer.status_code, answer.json()) == (200, {"epoch": 1, "next": 1, "known": False, "policy": ""})
    assert [entry.payload for entry in server.entries()] == [payload]


def test_a_repeated_batch_is_acknowledged_and_not_stored_again(server: Server, sender: Sender) -> None:
    """An agent that missed the answer may send again."""
    payload = sender.seal(LAUNCH)
    server.client.post("/ingest/batch", content=payload)
    answer = server.client.post("/ingest/batch", content=payload)
    assert answer.json() == {"epoch": 1, "next": 1, "known": True, "policy": ""}
    assert len(server.entries()) == 1


def test_several_batches_are_taken_at_once(server: Server, sender: Sender) -> None:
    """All of them are in the log in their order; what is known of them already is not stored again."""
    payloads = [sender.seal(LAUNCH) for _ in range(5)]
    answer = send_together(server, payloads[:3])
    assert (answer.status_code, answer.json()) == (200, {"epoch": 1, "next": 3, "known": False, "policy": ""})
    assert send_together(server, payloads[1:]).json()["next"] == 5
    assert send_together(server, payloads[1:4]).json() == {"epoch": 1, "next": 5, "known": True, "policy": ""}
    assert [entry.payload for entry in server.entries()] == payloads


def test_of_several_batches_all_are_taken_or_none(server: Server, sender: Sender) -> None:
    """One that is forged, does not follow, or is of somebody else keeps the others out; sent alone, they are taken."""
    first, second, third = (sender.seal(LAUNCH) for _ in range(3))
    envelope, _ = wire.decode_envelope(second)
    forged = msgspec.msgpack.encode(msgspec.structs.replace(envelope, signature=bytes(64)))
    elsewhere = msgspec.structs.replace(sender.position, sequence=1, previous=b"x" * 32)
    stray = wire.seal([], elsewhere, sender.key, created_at=1)[0]
    other = type(sender)(server).seal(LAUNCH)
    cases = [
        ([first, forged, third], 401, "not the sender's"),
        ([first, stray], 409, "does not follow"),
        ([first, other], 400, "of one sender"),
        ([first, b"nonsense"], 400, "cannot be read"),
        ([], 400, "1 to 64"),
        ([first] * 65, 400, "1 to 64"),
    ]
    for payloads, status, detail in cases:
        answer = send_together(server, payloads)
        assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text
    assert server.client.post("/ingest/batches", content=b"\xc1").status_code == 400
    assert (server.entries(), server.dead_letters()) == ([], [])
    for payload in (first, second, third):
        assert server.client.post("/ingest/batch", content=payload).status_code == 200
    assert [entry.payload for entry in server.entries()] == [first, second, third]


def test_several_batches_that_the_log_has_no_room_for_are_taken_later(
    server: Server, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender's chain stays where it was, so that the same batches are taken as if nothing had been."""
    payloads = [sender.seal(LAUNCH) for _ in range(3)]

    def full(_entries: object) -> None:
        raise OutOfSpace("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(server.log, "append", full)
        assert send_together(server, payloads).status_code == 503
    assert send_together(server, payloads).json()["next"] == 3
    assert [entry.payload for entry in server.entries()] == payloads


def test_a_missing_sequence_is_taken_as_a_gap(server: Server, sender: Sender) -> None:
    """A batch whose predecessor is missing is stored; the ledger shows what is not there."""
    first, _, third = sender.seal(LAUNCH), sender.seal(LAUNCH), sender.seal(LAUNCH)
    for payload in (first, third):
        assert server.client.post("/ingest/batch", content=payload).status_code == 200
    assert [entry.sequence for entry in server.entries()] == [0, 2]


def test_a_dropped_batch_keeps_its_place(server: Server, sender: Sender) -> None:
    """A tombstone is taken like its batch would have been, its events count as not kept, and the chain goes on."""
    admitted, lost = metrics.EVENTS_ADMITTED, metrics.EVENTS_NOT_KEPT.labels("dropped", "false")
    before = sampled(admitted), sampled(lost)
    dropped = wire.tombstone(sender.seal(LAUNCH, LAUNCH), sender.key)
    for payload in (dropped, sender.seal(LAUNCH)):
        assert server.client.post("/ingest/batch", content=payload).status_code == 200
    assert (sampled(admitted), sampled(lost)) == (before[0] + 1, before[1] + 2)
    assert [wire.decode_envelope(entry.payload)[1].rows for entry in server.entries()] == [2, 1]


def test_what_is_refused_names_its_reason_and_is_kept(server: Server, sender: Sender) -> None:
    """Truncated, foreign, altered and bomb-like batches: a clear answer each, and a dead letter each."""
    good = sender.seal(LAUNCH)
    envelope, _ = wire.decode_envelope(good)
    bomb = wire.seal([], sender.position, sender.key, created_at=1)[0]
    bombed = msgspec.structs.replace(wire.decode_envelope(bomb)[0], body=gzip.compress(bytes(1 << 20)))
    forged = msgspec.structs.replace(envelope, signature=bytes(64))
    stranger = wire.seal([], msgspec.structs.replace(sender.position, agent="nobody"), sender.key, created_at=1)[0]
    cases = [
        (good[:-20], 400, "cannot be read"),
        (msgspec.msgpack.encode(forged), 401, "not the sender's"),
        (stranger, 401, "not enrolled"),
        (good, 200, ""),
        (msgspec.msgpack.encode(bombed), 400, "decompressed"),
        (b"", 400, "cannot be read"),
    ]
    for payload, status, detail in cases:
        answer = server.client.post("/ingest/batch", content=payload)
        assert answer.status_code == status, answer.text
        assert detail in answer.text
    assert len(server.dead_letters()) == 5
    assert len(server.entries()) == 1


def test_a_body_beyond_the_limit_is_not_read(server: Server) -> None:
    """An oversized body is answered with 413 and costs no memory."""
    answer = server.client.post("/ingest/batch", content=bytes(17 * 1024 * 1024))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body is larger than 16777216 bytes"


def test_a_token_enrols_as_often_as_it_may(server: Server) -> None:
    """A token that is used up enrols nobody; the answer says how to get another."""
    body = {"token": server.token(), "public_key": "A" * 43 + "=", "hostname": "a"}
    assert server.client.post("/ingest/enroll", json=body).status_code == 200
    again = server.client.post("/ingest/enroll", json=body)
    assert again.status_code == 403
    assert "tocsin agent token" in again.json()["detail"]
    assert server.client.post("/ingest/enroll", content=b"{").status_code == 400


def test_health_is_taken_from_the_agent_alone(server: Server, sender: Sender) -> None:
    """A health report is signed like a batch; somebody else's is refused."""
    report: dict[str, object] = {"receive": {"state": "ok"}}
    signed = sender.health(report)
    assert server.client.post("/ingest/health", content=msgspec.json.encode(report), headers=signed).status_code == 200
    assert server.client.post("/ingest/health", content=b'{"forged":1}', headers=signed).status_code == 401
    with reading(server.engine) as connection:
        assert connection.execute(sa.select(agent.c.health)).scalar_one() == report


def test_lines_are_taken_and_bad_ones_named(server: Server) -> None:
    """The line inlet stores what it can read, names each line that it cannot, and keeps it."""
    body = b"\n".join([json.dumps(nest(LAUNCH)).encode(), b"{not json", b'{"class_uid": 4}'])
    answer = server.client.post(
        "/ingest/events?source=ocsf&origin=lab",
        content=gzip.compress(body),
        headers={**KEY, "Content-Encoding": "gzip"},
    )
    assert answer.status_code == 200
    assert (answer.json()["accepted"], answer.json()["refused"]) == (1, 2)
    assert answer.json()["problems"][0].startswith("line 2: ")
    (entry,) = server.entries()
    envelope, header = wire.decode_envelope(entry.payload)
    ((event,),) = [wire.decode_events(section) for section in wire.decode_body(envelope, header)]
    assert event.attributes()["process.name"] == "id"
    assert len(server.dead_letters()) == 2


def test_lines_want_a_token_and_a_known_source(server: Server) -> None:
    """Without a token nothing is read; an unknown source is named with those that are known."""
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        refused = server.client.post("/ingest/events", content=b"{}", headers=headers)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    answer = server.client.post("/ingest/events?source=syslogg", content=b"{}", headers=KEY)
    assert answer.status_code == 400
    assert "auditd, cloudtrail" in answer.json()["detail"]


def test_the_origin_names_the_machine_of_events_that_name_none(server: Server) -> None:
    """An audit log without node names is its origin's; an event that names a machine keeps it."""
    named = Event(1007, {**LAUNCH.values, "device.hostname": "db-1"})
    bodies = [
        ("auditd", b"type=USER_LOGIN msg=audit(1700000000.100:7): pid=1 uid=0 msg='op=login acct=\"ada\" res=success'"),
        ("ocsf", b"\n".join(json.dumps(nest(event)).encode() for event in (LAUNCH, named))),
    ]
    for source, body in bodies:
        answer = server.client.post(f"/ingest/events?source={source}&origin=lab", content=body, headers=KEY)
        assert answer.json()["refused"] == 0
    opened = [wire.decode_envelope(entry.payload) for entry in server.entries()]
    events = [
        event for found in opened for section in wire.decode_body(*found) for event in wire.decode_events(section)
    ]
    assert [event.attributes()["device.hostname"] for event in events] == ["lab", "lab", "db-1"]
