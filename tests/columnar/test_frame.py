"""From the wire's columns to frames."""

from __future__ import annotations

from hypothesis import given, settings

from columnar.batches import BATCHES, batch, expected
from tocsin.columnar.frame import event_at, frames
from tocsin.model import wire
from tocsin.model.event import Event, Value, batch_id, event_uid


@settings(deadline=None)
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


@settings(deadline=None)
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
