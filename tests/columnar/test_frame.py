"""From the wire's columns to frames."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tocsin.columnar.check import check
from tocsin.columnar.frame import Batch, event_at, frames
from tocsin.model import wire
from tocsin.model.event import Event, Value, batch_id, event_uid
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
    """The batch's events by the wire's own slow decoder, with what the gateway knows filled in."""
    entry, header, sections = read
    name = batch_id(header.org, header.origin, header.epoch, header.sequence)
    events = [event for section in sections for event in wire.decode_events(section)]
    for row, event in enumerate(events):
        event.values |= {
            "metadata.uid": event_uid(int(event.values["time"]), name, row),
            "metadata.tenant_uid": entry.org,
            "metadata.processed_time": entry.received_at,
            "device.uid": entry.origin,
        }
    return events


@given(BATCHES)
def test_frames_hold_what_the_wire_holds(lists: list[list[Event]]) -> None:
    """Every event of every batch is in its class's frame, in order, with values, nulls and records as sent."""
    batches = [batch(events, i, origin=f"h{i % 2}") for i, events in enumerate(lists)]
    wanted: dict[int, list[Event]] = {}
    for read in batches:
        for event in expected(read):
            wanted.setdefault(event.class_uid, []).append(event)
    got = frames(batches)
    assert {uid: [event_at(frame, row) for row in range(len(frame))] for uid, frame in got.items()} == wanted


@given(BATCHES)
def test_record_columns_hold_each_key(lists: list[list[Event]]) -> None:
    """A record column has, per record, the value of that key, a repeated key as `key#2`, and null where it lacks."""
    for frame in frames([batch(events, i) for i, events in enumerate(lists)]).values():
        if frame.records is None:
            continue
        records = [record for row in range(len(frame)) for record in frame.records.of(row)]
        assert frame.records.types.to_pylist() == [record.type for record in records]
        fields = [_fields(record) for record in records]
        assert set(frame.records.keys()) == {key for record in fields for key in record}
        for key in ("a0", "a0#2", "type#2", "pid", "absent"):
            column = frame.records.column(key)
            values = column.to_pylist() if column is not None else [None] * len(records)
            assert values == [record.get(key) for record in fields]


def _fields(record: wire.PlainRecord) -> dict[str, str]:
    fields: dict[str, str] = {}
    for key, value in zip(record.keys, record.values, strict=True):
        fields[key if key not in fields and key != "type" else f"{key}#2"] = value
    return fields


def test_dictionaries_are_unified() -> None:
    """A value that many batches hold is one entry of the frame's dictionary."""
    events = [Event(1007, {"time": i, "actor.process.name": name}) for i, name in enumerate(["sh", "nc"] * 3)]
    table = frames([batch(events, i) for i in range(3)])[1007].table
    column = table["actor.process.name"].combine_chunks()
    assert column.dictionary.to_pylist() == ["sh", "nc"]
    assert len(column) == 18


def test_many_distinct_values_widen_the_codes() -> None:
    """Batches with one-byte and two-byte codes concatenate."""
    few = [Event(1007, {"time": 1, "message": str(i % 3)}) for i in range(5)]
    many = [Event(1007, {"time": 1, "message": str(i)}) for i in range(400)]
    table = frames([batch(few, 0), batch(many, 1)])[1007].table
    assert table["message"].to_pylist() == [str(i % 3) for i in range(5)] + [str(i) for i in range(400)]


def test_the_log_decides_whose_events_they_are() -> None:
    """An agent cannot speak for another org or origin: what it says there is overwritten."""
    lies: dict[str, Value] = {
        "metadata.tenant_uid": "other",
        "device.uid": "h9",
        "metadata.uid": "x",
        "metadata.processed_time": 5,
    }
    table = frames([batch([Event(1007, {"time": 1, **lies})], 3, org="mine", origin="h1")])[1007].table
    assert table.select(list(lies)).to_pylist() == [
        {
            "metadata.tenant_uid": "mine",
            "device.uid": "h1",
            "metadata.uid": event_uid(1, batch_id("mine", "h1", 7, 3), 0),
            "metadata.processed_time": 1_003,
        }
    ]
