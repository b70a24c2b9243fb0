"""The events of many batches as flat Arrow columns, one frame per class.

A frame's columns are named by dotted path. Text is dictionary-encoded over all batches together, so that whoever
judges values sees each distinct one once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tocsin.columnar.gather import gather
from tocsin.columnar.records import RecordFrame, gather_records
from tocsin.model.event import DEFAULTS, Event, batch_id, event_uid
from tocsin.model.schema import CLASSES
from tocsin.model.wire import BatchHeader, Column, Section
from tocsin.ports import LogEntry

__all__ = ["Batch", "Frame", "RecordFrame", "event_at", "events_at", "frames"]

Batch = tuple[LogEntry, BatchHeader, list[Section]]

_TIME_DIGITS, _ROW_DIGITS, _BATCH_DIGITS = 12, 5, 16
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


class Frame(msgspec.Struct, frozen=True, eq=False):
    """Events of one class.

    table: a column per attribute that occurs; time, metadata.uid, metadata.tenant_uid, device.uid, activity_id and
        severity_id always do.
        Text is dictionary<int32, string> (metadata.uid is plain), numbers are int64, booleans bool.
    records: the source's records, if any event has some.
    """

    class_uid: int
    table: pa.Table
    records: RecordFrame | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)


class _Part(msgspec.Struct, frozen=True, gc=False):
    """One section, with what its batch says about it."""

    section: Section
    entry: LogEntry
    batch: str
    first_row: int  # within the batch, over all its sections


def frames(batches: Iterable[Batch], only: int | None = None) -> dict[int, Frame]:
    """All events of the batches, or those of one class, in order, by class; the batches must have passed `check`.

    Fills the org, the origin, the time of receipt and the event's id, whatever the batch itself says of them.
    """
    parts: dict[int, list[_Part]] = {}
    for entry, header, sections in batches:
        name = batch_id(header.org, header.origin, header.epoch, header.sequence)
        first_row = 0
        for section in sections:
            if only in (None, section.class_uid):
                parts.setdefault(section.class_uid, []).append(_Part(section, entry, name, first_row))
            first_row += section.rows
    return {class_uid: _frame(class_uid, of_class) for class_uid, of_class in parts.items()}


def _frame(class_uid: int, parts: Sequence[_Part]) -> Frame:
    rows = np.array([part.section.rows for part in parts], np.int64)
    by_path = [{column.path: column for column in part.section.columns} for part in parts]
    present = {path for columns in by_path for path in columns}
    names = [a.path for a in CLASSES[class_uid].attributes if a.path in present]
    arrays = {path: gather(path, ([columns.get(path) for columns in by_path], rows)) for path in names}
    arrays |= _given(parts, rows, arrays["time"])
    arrays |= {path: _filled(arrays.get(path), default, rows) for path, default in DEFAULTS.items()}
    in_order = [a.path for a in CLASSES[class_uid].attributes if a.path in arrays]
    table = pa.table([arrays[path] for path in in_order], names=in_order)
    return Frame(class_uid, table, gather_records([part.section.records for part in parts], rows))


def _filled(numbers: pa.Int64Array | None, default: int, rows: npt.NDArray[np.int64]) -> pa.Int64Array:
    if numbers is None:
        return pa.array(np.full(int(rows.sum()), default, np.int64))
    return numbers.fill_null(default) if numbers.null_count else numbers


def _given(parts: Sequence[_Part], rows: npt.NDArray[np.int64], time: pa.Int64Array) -> dict[str, pa.Array]:
    return {
        "metadata.uid": _uids(parts, rows, time),
        "metadata.tenant_uid": _repeated([part.entry.org for part in parts], rows),
        "metadata.processed_time": pa.array(np.repeat([part.entry.received_at for part in parts], rows)),
        "device.uid": _repeated([part.entry.origin for part in parts], rows),
    }


def _repeated(values: Sequence[str], rows: npt.NDArray[np.int64]) -> pa.DictionaryArray:
    return gather("device.uid", ([Column("", constant=value) for value in values], rows))


def _uids(parts: Sequence[_Part], rows: npt.NDArray[np.int64], time: pa.Int64Array) -> pa.StringArray:
    """`event_uid` of every row, written digit by digit into one buffer."""
    times = time.to_numpy()
    row = _rows_in_batch(parts, rows)
    if len(times) and not 0 <= times.min() <= times.max() < 16**_TIME_DIGITS:
        names = np.repeat(np.array([part.batch for part in parts]), rows).tolist()
        return pa.array(map(event_uid, times.tolist(), names, row.tolist()), pa.string())
    prefix = _TIME_DIGITS + _ROW_DIGITS
    width = prefix + 1 + _BATCH_DIGITS
    text = np.empty((len(times), width), np.uint8)
    for place in range(prefix):
        number, digits = (times, _TIME_DIGITS) if place < _TIME_DIGITS else (row, prefix)
        text[:, place] = _HEX[(number >> 4 * (digits - 1 - place)) & 15]
    text[:, prefix] = ord("-")
    names_read = np.frombuffer("".join(part.batch for part in parts).encode(), np.uint8)
    text[:, prefix + 1 :] = np.repeat(names_read.reshape(-1, _BATCH_DIGITS), rows, axis=0)
    offsets = np.arange(0, (len(times) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(len(times), pa.py_buffer(offsets), pa.py_buffer(text))


def _rows_in_batch(parts: Sequence[_Part], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    starts = np.cumsum(rows) - rows
    first = np.array([part.first_row for part in parts], np.int64)
    within: npt.NDArray[np.int64] = np.arange(int(rows.sum())) + np.repeat(first - starts, rows)
    return within


def event_at(frame: Frame, row: int) -> Event:
    """One event as people get to see it, nulls left out, records included."""
    return events_at(frame, [row])[0]


def events_at(frame: Frame, rows: Sequence[int]) -> list[Event]:
    """Several events of a frame, in the order of `rows`; cheaper than one by one."""
    taken = frame.table.take(pa.array(rows, pa.int64()))
    columns = [column.to_pylist() for column in taken.columns]
    names = taken.column_names
    return [
        Event(
            frame.class_uid,
            {path: value for path, value in zip(names, values, strict=True) if value is not None},
            frame.records.of(row) if frame.records else (),
        )
        for row, *values in zip(rows, *columns, strict=True)
    ]
