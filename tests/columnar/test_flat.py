"""What was nested for files comes back as the same events."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from condition_strategies import events
from event_frames import frames_of
from tocsin.adapters.iceberg.storage import write_parquet
from tocsin.columnar.flat import flat, flat_columns, has_path
from tocsin.columnar.frame import Frame, event_at
from tocsin.columnar.nested import nested, schema
from tocsin.model.event import Event, nest


def _documents(frame: Frame) -> list[object]:
    return [nest(event_at(frame, row)) for row in range(len(frame))]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(events(), min_size=1, max_size=5), min_size=1, max_size=3))
def test_nested_and_flat_again_is_the_same(tmp_path: Path, batches: list[list[Event]]) -> None:
    """Attributes and records of any events are unchanged, from memory and from a file of the lake."""
    frame = frames_of(*batches)[1007]
    file = tmp_path / "events.parquet"
    file.unlink(missing_ok=True)
    write_parquet(nested(frame), file)
    for rows in (nested(frame), pq.ParquetFile(file).read()):
        assert _documents(flat(rows, 1007)) == _documents(frame)


def test_what_was_not_read_is_left_out(tmp_path: Path) -> None:
    """A table of some columns gives a frame of these; a path that no row has gives no column."""
    frame = frames_of([Event(1007, {"time": 1, "process.name": "nc", "process.pid": 7})])[1007]
    write_parquet(nested(frame), tmp_path / "events.parquet")
    rows = pq.ParquetFile(tmp_path / "events.parquet").read(columns=["time", "process.name", "process.cmd_line"])
    assert flat(rows, 1007).table.column_names == ["time", "process.name"]
    assert flat_columns(rows, ["process.name", "process.pid", "no.such"]).column_names == ["process.name"]
    assert has_path(schema(1007), "process.file.path")
    assert not has_path(schema(1007), "time.zone")
