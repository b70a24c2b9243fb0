"""Events that no file of the lake holds yet, read from the log's tail and kept in memory until one does."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from tocsin.adapters.lake_sink import CONSUMER
from tocsin.columnar.decode import decode
from tocsin.columnar.frame import Batch, frames
from tocsin.columnar.nested import nested
from tocsin.model.errors import BadInput
from tocsin.ports import EventLog, LogEntry
from tocsin.state.engine import reading
from tocsin.state.position import read_offsets, read_position

__all__ = ["Chunk", "HotRows"]

_BYTES_AT_A_TIME = 8 * 1024 * 1024


class Chunk(msgspec.Struct, frozen=True, eq=False):
    """Events of one class and one partition, in the nested form, with the offset of each row's batch."""

    class_uid: int
    partition: int
    offsets: npt.NDArray[np.int64]  # ascending
    rows: pa.Table

    def since(self, offset: int) -> pa.Table:
        """The rows whose batches lie at that offset or later."""
        first = int(np.searchsorted(self.offsets, offset))
        # A slice would do, but DuckDB refuses structs that begin at an offset.
        return self.rows.take(pa.array(np.arange(first, len(self.offsets)))) if first else self.rows


class HotRows:
    """The tail of the log as tables, read once and kept; safe to use from several threads."""

    def __init__(self, log: EventLog, state: sa.Engine) -> None:
        self._log, self._state = log, state
        self._lock = threading.Lock()
        self._next: dict[int, int] = {}
        self._taken: dict[str, tuple[int, int]] = {}
        self._chunks: tuple[Chunk, ...] = ()

    def refresh(self) -> tuple[dict[int, int], tuple[Chunk, ...]]:
        """The offsets up to which every table of the lake is complete, and all that the log holds from there on.

        What is given stays as it is, whatever later calls forget.
        """
        with self._lock:
            complete = self._complete()
            kept = [c for c in self._chunks if c.offsets[-1] >= complete.get(c.partition, 0)]
            fresh = [
                chunk
                for partition in range(self._log.partitions)
                for chunk in self._read(partition, complete.get(partition, 0))
            ]
            self._chunks = (*kept, *fresh)
            return complete, self._chunks

    def _complete(self) -> dict[int, int]:
        with reading(self._state) as connection:
            complete = read_offsets(connection, CONSUMER)
            if any(offset > self._next.get(partition, -1) for partition, offset in complete.items()):
                # Some of the log was stored without being seen here: only the state knows which batches that were.
                for origin, place in read_position(connection, CONSUMER).taken.items():
                    self._taken[origin] = max(place, self._taken.get(origin, place))
        return complete

    def _read(self, partition: int, complete: int) -> Iterator[Chunk]:
        offset = max(self._next.get(partition, 0), complete, self._log.bounds(partition)[0])
        while entries := self._log.read(partition, offset, max_bytes=_BYTES_AT_A_TIME):
            batches = [batch for entry in entries if (batch := self._take(entry)) is not None]
            yield from _chunks(partition, batches)
            offset = entries[-1].offset + 1
        self._next[partition] = offset

    def _take(self, entry: LogEntry) -> Batch | None:
        origin, place = f"{entry.org}/{entry.origin}", (entry.epoch, entry.sequence)
        if place <= self._taken.get(origin, (-1, -1)):
            return None
        self._taken[origin] = place
        try:
            return decode(entry)
        except BadInput:
            # The lake's own consumer puts it aside.
            return None


def _chunks(partition: int, batches: Sequence[Batch]) -> Iterator[Chunk]:
    for class_uid, frame in frames(batches).items():
        if len(frame):
            yield Chunk(class_uid, partition, _offsets(batches, class_uid), nested(frame))


def _offsets(batches: Sequence[Batch], class_uid: int) -> npt.NDArray[np.int64]:
    counts = {
        entry.offset: sum(section.rows for section in sections if section.class_uid == class_uid)
        for entry, _, sections in batches
    }
    return np.repeat(np.array(list(counts), np.int64), list(counts.values()))
