"""Who may send: agents that are revoked, clones of a host's image, and what a token is good for."""

from __future__ import annotations

import base64
import time

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.testclient import TestClient

from ingest.conftest import Sender, Server
from tocsin.ingest.senders import REVOKED_WITHIN_S, agent_id
from tocsin.model.event import Event
from tocsin.state.engine import reading
from tocsin.state.fleet import readmit, revoke
from tocsin.state.tables import agent, agent_tag

EVENT = Event(1007, {"time": 1})


def post(client: TestClient, payload: bytes) -> tuple[int, str]:
    answer = client.post("/ingest/batch", content=payload)
    return answer.status_code, answer.json().get("detail", "")


def test_a_revocation_takes_effect_at_once(server: Server, sender: Sender) -> None:
    """Nothing more is taken, neither batches nor reports, and nothing of it is stored; until it is taken back."""
    assert post(server.client, sender.seal(EVENT))[0] == 200
    with server.engine.begin() as connection:
        revoke(connection, "default", sender.position.agent, 1)
    time.sleep(REVOKED_WITHIN_S)
    refused = sender.seal(EVENT)
    assert post(server.client, refused) == (403, f"agent {sender.position.agent} is revoked")
    report = server.client.post("/ingest/health", json={"a": 1}, headers=sender.health({"a": 1}))
    assert report.status_code == 403
    assert len(server.entries()) == 1
    assert server.dead_letters() == []
    with server.engine.begin() as connection:
        readmit(connection, "default", sender.position.agent)
    time.sleep(REVOKED_WITHIN_S)
    assert post(server.client, refused)[0] == 200


def _clone(server: Server, parent: Sender, key: Ed25519PrivateKey, signer: Ed25519PrivateKey) -> tuple[int, object]:
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    body = msgspec.json.encode({"public_key": public, "hostname": "web-2", "host": {"machine_id": "m2"}})
    headers = {
        "Tocsin-Org": parent.position.org,
        "Tocsin-Agent": parent.position.agent,
        "Tocsin-Signature": base64.b64encode(signer.sign(body)).decode(),
    }
    answer = server.client.post("/ingest/clone", content=body, headers=headers)
    return answer.status_code, answer.json()


def test_a_clone_joins_as_an_agent_of_its_own(server: Server, sender: Sender) -> None:
    """In the name of the key that it was cloned with, marked as a clone, with the same tags; asking twice is once."""
    with server.engine.begin() as connection:
        tag = {"org": "default", "agent_id": sender.position.agent, "name": "role", "value": "web"}
        connection.execute(sa.insert(agent_tag).values(tag))
    key = Ed25519PrivateKey.generate()
    uid = agent_id("default", key.public_key().public_bytes_raw())
    for _ in range(2):
        status, said = _clone(server, sender, key, sender.key)
        assert (status, said) == (
            200,
            {"org": "default", "agent_id": uid, "ca": "", "certificate": "", "renew_at": 0, "not_after": 0},
        )
    with reading(server.engine) as connection:
        rows = connection.execute(sa.select(agent).where(agent.c.cloned_from.is_not(None))).all()
        tags = connection.execute(
            sa.select(agent_tag.c.name, agent_tag.c.value).where(agent_tag.c.agent_id == uid)
        ).all()
    assert [(row.id, row.cloned_from, row.hostname, row.host) for row in rows] == [
        (uid, sender.position.agent, "web-2", {"machine_id": "m2"})
    ]
    assert [tuple(row) for row in tags] == [("role", "web")]
    clone = Sender(server)
    clone.key, clone.position = key, msgspec.structs.replace(sender.position, agent=uid)
    assert post(server.client, clone.seal(EVENT))[0] == 200


def test_only_so_many_clones_join_in_a_day(server: Server, sender: Sender) -> None:
    """A stolen key does not make a fleet: beyond the setting a person with a token is needed."""
    statuses = [_clone(server, sender, Ed25519PrivateKey.generate(), sender.key)[0] for _ in range(3)]
    assert statuses == [200, 200, 403]


def test_nobody_joins_as_a_clone_without_the_key(server: Server, sender: Sender) -> None:
    """Neither with another key's signature, nor in the name of an agent that is revoked."""
    stranger = Ed25519PrivateKey.generate()
    assert _clone(server, sender, stranger, stranger)[0] == 401
    with server.engine.begin() as connection:
        revoke(connection, "default", sender.position.agent, 1)
    time.sleep(REVOKED_WITHIN_S)
    assert _clone(server, sender, stranger, sender.key)[0] == 403


def test_an_agent_is_never_seen_until_it_reports(server: Server, sender: Sender) -> None:
    """Enrolling is not reporting."""
    seen = sa.select(agent.c.last_seen_at).where(agent.c.id == sender.position.agent)
    with reading(server.engine) as connection:
        assert connection.scalar(seen) is None
    server.client.post("/ingest/health", json={"a": 1}, headers=sender.health({"a": 1}))
    with reading(server.engine) as connection:
        assert connection.scalar(seen) is not None
