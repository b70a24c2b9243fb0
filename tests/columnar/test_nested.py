"""From frames to OCSF's nested form."""

from __future__ import annotations

import duckdb
import msgspec
import pytest
from hypothesis import given, settings

from columnar.batches import BATCHES, batch, expected
from tocsin.columnar.frame import frames
from tocsin.columnar.nested import nested, paths, schema
from tocsin.model.event import Event, Json, nest
from tocsin.model.schema import CLASSES, Kind, attribute
from tocsin.model.wire import PlainRecord


@settings(deadline=None)
@given(BATCHES)
def test_nested_rows_are_the_exported_events(lists: list[list[Event]]) -> None:
    """What the lake holds of an event is what `nest` exports, apart from how records and JSON are written."""
    batches = [batch(events, i) for i, events in enumerate(lists)]
    wanted: dict[int, list[dict[str, Json]]] = {}
    for read in batches:
        for event in expected(read):
            wanted.setdefault(event.class_uid, []).append(nest(event))
    for class_uid, frame in frames(batches).items():
        assert [as_exported(row) for row in nested(frame).to_pylist()] == wanted[class_uid]


def as_exported(row: dict[str, Json]) -> dict[str, Json]:
    """A row of the lake in the exported form: nulls and empty structs left out, JSON and records written out."""
    cleaned = _clean(row, "")
    assert isinstance(cleaned, dict)
    return cleaned


def _clean(value: Json, path: str) -> Json:
    if path == "unmapped.audit.records":
        assert isinstance(value, list)
        return [_record(record) for record in value] or None
    known = attribute(path)
    if known is not None and known.kind is Kind.JSON and isinstance(value, str):
        return msgspec.json.decode(value)  # type: ignore[no-any-return]  # any JSON
    if not isinstance(value, dict):
        return value
    cleaned = {k: _clean(v, f"{path}.{k}" if path else k) for k, v in value.items() if v is not None}
    return {key: inner for key, inner in cleaned.items() if inner is not None} or None


def _record(record: Json) -> Json:
    assert isinstance(record, dict)
    fields = record["fields"]
    assert isinstance(fields, list)
    pairs = msgspec.convert(fields, list[tuple[str, str]])
    return {"type": record["type"], **dict(pairs)}


@pytest.mark.parametrize("class_uid", list(CLASSES))
def test_every_class_has_all_its_attributes(class_uid: int) -> None:
    """The schema of a class holds every declared attribute, and a frame of one bare event fits it."""
    bare = frames([batch([Event(class_uid, {"time": 1})], 0)])[class_uid]
    assert {a.path for a in CLASSES[class_uid].attributes} <= set(paths(class_uid))
    assert nested(bare).cast(schema(class_uid)).num_rows == 1


def test_duckdb_reads_paths_as_struct_access() -> None:
    """DuckDB reads a nested table as it is: structs, dictionaries, and conditions on one record."""
    events = [
        Event(1007, {"time": 1, "process.name": "nc", "process.pid": 7}, (PlainRecord("EXECVE", ("a0",), ("nc",)),)),
        Event(1007, {"time": 2, "process.name": "sh"}, (PlainRecord("CWD", ("cwd",), ("/",)),)),
        Event(1007, {"time": 3}),
    ]
    rows = nested(frames([batch(events, 0)])[1007])
    connection = duckdb.connect()
    connection.register("event", rows)
    found = connection.execute(
        'SELECT time, "process"."name", "process"."pid", '
        "len(list_filter(unmapped.audit.records, lambda r: r.fields['a0'] = 'nc')) FROM event ORDER BY time"
    ).fetchall()
    connection.close()
    assert found == [(1, "nc", 7, 1), (2, "sh", None, 0), (3, None, None, 0)]
