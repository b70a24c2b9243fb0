"""Batches for tests: any that hypothesis can think of, and the slow way of reading one."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from tocsin.columnar.check import check
from tocsin.columnar.frame import Batch
from tocsin.model import wire
from tocsin.model.event import DEFAULTS, Event, batch_id, event_uid
from tocsin.ports import LogEntry

KEY = Ed25519PrivateKey.generate()

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_KEYS = st.lists(st.sampled_from(["a0", "a1", "type", "pid"]), max_size=4)
_RECORD = st.builds(
    lambda type_, keys, text: wire.PlainRecord(type_, tuple(keys), tuple(f"{text}{i}" for i in range(len(keys)))),
    st.sampled_from(["SYSCALL", "EXECVE"]),
    _KEYS,
    _TEXT,
)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_EVENTS = st.builds(
    Event,
    st.sampled_from([1007, 3002]),
    st.fixed_dictionaries(
        {"time": st.integers(0, 2**50)},
        optional={
            "message": _TEXT,
            "actor.process.name": st.sampled_from(["sh", "nc", ""]),
            "actor.process.pid": _INT64,
            "activity_id": st.integers(0, 99),
            "unmapped.source": st.just('{"a":1}'),
        },
    ),
    st.lists(_RECORD, max_size=3).map(tuple),
)
_FLAGS = st.builds(Event, st.just(3002), st.fixed_dictionaries({"time": st.just(1), "is_mfa": st.booleans()}))
EVENTS = st.lists(st.one_of(_EVENTS, _FLAGS), max_size=6)
BATCHES = st.lists(EVENTS, max_size=5)


def batch(events: list[Event], sequence: int, org: str = "default", origin: str = "h1") -> Batch:
    """Events as the runner hands them on: sealed, appended, read back and decoded."""
    position = wire.ChainPosition(org, origin, "boot-1", 7, sequence, b"")
    payload, _ = wire.seal(wire.encode_sections(events), position, KEY, created_at=1)
    entry = LogEntry(0, sequence, org, origin, 7, sequence, 1_000 + sequence, payload)
    envelope, header = wire.decode_envelope(payload)
    sections = wire.decode_body(envelope, header)
    check(header, sections)
    return entry, header, sections


def expected(read: Batch) -> list[Event]:
    """The batch's events by the wire's own slow decoder, with what the gateway knows and defaults filled in."""
    entry, header, sections = read
    name = batch_id(header.org, header.origin, header.epoch, header.sequence)
    events = [event for section in sections for event in wire.decode_events(section)]
    for row, event in enumerate(events):
        event.values |= {
            **DEFAULTS,
            **event.values,
            "metadata.uid": event_uid(int(event.values["time"]), name, row),
            "metadata.tenant_uid": entry.org,
            "metadata.processed_time": entry.received_at,
            "device.uid": entry.origin,
        }
    return events
