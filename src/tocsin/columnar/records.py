"""The source's records of many batches as columns: one row per record, one column per key, built when asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tocsin.columnar.gather import dictionary_array
from tocsin.model.wire import PlainRecord, RecordColumns

__all__ = ["RecordFrame", "gather_records"]

_Shape = tuple[str, ...]  # type, key, key, ...


class RecordFrame:
    """Records of a frame's events, in order.

    row: the event row of each record, ascending.
    types: the type of each record.
    """

    def __init__(
        self,
        row: npt.NDArray[np.int32],
        shapes: Sequence[_Shape],
        shape_of: npt.NDArray[np.int32],
        values: pa.StringArray,
    ) -> None:
        self.row = row
        self.shapes, self.shape_of, self.values = shapes, shape_of, values
        self._columns: dict[str, pa.DictionaryArray | None] = {}
        widths = np.array([len(shape) - 1 for shape in shapes] or [0], np.int64)
        ends = np.cumsum(widths[shape_of])
        # Record r has values[starts[r] : starts[r + 1]].
        self.starts = np.concatenate(([0], ends)).astype(np.int64)

    def __len__(self) -> int:
        return len(self.row)

    @property
    def types(self) -> pa.DictionaryArray:
        """The type of each record."""
        names = list(dict.fromkeys(shape[0] for shape in self.shapes))
        code = np.array([names.index(shape[0]) for shape in self.shapes], np.int32)
        return dictionary_array(code[self.shape_of], names)

    def keys(self) -> list[str]:
        """All keys that occur, in the order of first sight; a record's second `key` is `key#2`."""
        used = [self.shapes[i] for i in np.unique(self.shape_of)]
        return list(dict.fromkeys(key for shape in used for key in places(shape)))

    def column(self, key: str) -> pa.DictionaryArray | None:
        """The value of that key in each record, null where a record lacks it; None if no record has it."""
        if key not in self._columns:
            self._columns[key] = self._column(key)
        return self._columns[key]

    def _column(self, key: str) -> pa.DictionaryArray | None:
        place = np.array([places(shape).get(key, -1) for shape in self.shapes] or [-1], np.int64)[self.shape_of]
        lacks = place < 0
        if lacks.all():
            return None
        return self.values.take(pa.array(self.starts[:-1] + place, mask=lacks)).dictionary_encode()

    def of(self, row: int) -> tuple[PlainRecord, ...]:
        """The records of one event, as the source gave them."""
        first, last = np.searchsorted(self.row, [row, row + 1])
        return tuple(self._record(r) for r in range(int(first), int(last)))

    def _record(self, record: int) -> PlainRecord:
        type_, *keys = self.shapes[self.shape_of[record]]
        start = int(self.starts[record])
        return PlainRecord(type_, tuple(keys), tuple(self.values.slice(start, len(keys)).to_pylist()))


def places(shape: _Shape) -> dict[str, int]:
    """Where each key's value is in a record of that shape; a key that comes again is `key#2`, as in exports."""
    at: dict[str, int] = {}
    for place, key in enumerate(shape[1:]):
        at[key if key not in at and key != "type" else f"{key}#2"] = place
    return at


def gather_records(pieces: Sequence[RecordColumns | None], rows: npt.NDArray[np.int64]) -> RecordFrame | None:
    """The records of all batches, numbered by the rows of their concatenation; None if no batch has any."""
    present = [piece for piece in pieces if piece is not None]
    if not present:
        return None
    empty = [b"" if piece is not None else bytes(2 * count) for piece, count in zip(pieces, rows.tolist(), strict=True)]
    counts = b"".join([piece.counts if piece else gap for piece, gap in zip(pieces, empty, strict=True)])
    row = np.repeat(np.arange(int(rows.sum()), dtype=np.int32), np.frombuffer(counts, np.uint16))
    shapes, shape_of = _unify_shapes(present)
    widths = np.array([len(shape) - 1 for shape in shapes] or [0], np.int64)
    lengths = [len(piece.shape_of) // 2 for piece in present]
    frame_widths = widths[shape_of]
    ends = np.cumsum(lengths)
    texts = [
        piece.values
        for piece, end, length in zip(present, ends.tolist(), lengths, strict=True)
        if length and frame_widths[end - length : end].any()
    ]
    return RecordFrame(row, shapes, shape_of, _split(texts, int(frame_widths.sum())))


def _unify_shapes(pieces: Sequence[RecordColumns]) -> tuple[list[_Shape], npt.NDArray[np.int32]]:
    index: dict[_Shape, int] = {}
    number = index.setdefault
    slots: list[int] = []
    starts: list[int] = []
    for piece in pieces:
        starts.append(len(slots))
        slots.extend([number(tuple(shape), len(index)) for shape in piece.shapes])
    lengths = [len(piece.shape_of) // 2 for piece in pieces]
    local = np.frombuffer(b"".join([piece.shape_of for piece in pieces]), np.uint16)
    offset = np.repeat(np.array(starts, np.int64), lengths)
    return list(index), np.array(slots or [0], np.int32)[offset + local]


def _split(texts: Sequence[bytes], count: int) -> pa.StringArray:
    """Cut NUL-joined text into its `count` values without looking at any of them."""
    joined = b"\0".join(texts)
    offsets = np.zeros(count + 1, np.int32)
    if count:
        ends = np.flatnonzero(np.frombuffer(joined, np.uint8) == 0)
        offsets[1:-1] = ends - np.arange(count - 1)
        offsets[-1] = len(joined) - (count - 1)
    plain = joined.replace(b"\0", b"")
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(plain))
