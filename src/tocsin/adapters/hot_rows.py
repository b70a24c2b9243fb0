"""Events that no file of the lake holds yet, read from the log's tail and kept in memory until one does."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa
import structlog

from tocsin.adapters.lake_sink import CONSUMER
from tocsin.columnar.decode import decode
from tocsin.columnar.frame import Batch, frames
from tocsin.columnar.nested import nested
from tocsin.model.errors import BadInput, TryLater
from tocsin.ports import EventLog, LogEntry
from tocsin.state.engine import reading
from tocsin.state.position import read_offsets, read_position

__all__ = ["Chunk", "HotRows"]

_log = structlog.get_logger(__name__)
_BYTES_AT_A_TIME = 8 * 1024 * 1024
_LARGEST_MERGED = 64 * 1024


class Chunk(msgspec.Struct, frozen=True, eq=False):
    """Events of one class in the nested form, with the place in the log of each row's batch."""

    class_uid: int
    partition: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    rows: pa.Table

    def __len__(self) -> int:
        return len(self.offset)

    def since(self, offsets: Mapping[int, int]) -> Chunk:
        """The rows whose batches lie at these offsets, by partition, or later."""
        first = np.zeros(int(self.partition.max(initial=0)) + 1, np.int64)
        for partition, offset in offsets.items():
            if partition < len(first):
                first[partition] = offset
        kept = self.offset >= first[self.partition]
        if kept.all():
            return self
        # Taken one by one: slices would do for some, but DuckDB refuses structs that begin at an offset.
        rows = self.rows.take(pa.array(np.flatnonzero(kept)))
        return Chunk(self.class_uid, self.partition[kept], self.offset[kept], rows)


class HotRows:
    """The tail of the log as tables, read once and kept; safe to use from several threads."""

    def __init__(self, log: EventLog, state: sa.Engine, max_rows: int = 500_000) -> None:
        """Hold at most so many rows, each about a kilobyte; with more of them behind, nothing is answered."""
        self._log, self._state, self._max_rows = log, state, max_rows
        self._lock = threading.Lock()
        self._next: dict[int, int] = {}
        self._taken: dict[str, tuple[int, int]] = {}
        self._chunks: tuple[Chunk, ...] = ()
        self._full = False

    def refresh(self) -> tuple[dict[int, int], tuple[Chunk, ...]]:
        """The offsets up to which every table of the lake is complete, and all that the log holds from there on.

        What is given stays as it is, whatever later calls forget.

        Raises:
            TryLater: the lake is so far behind the log that the rows in between do not fit in memory.
        """
        with self._lock:
            complete = self._complete()
            kept = [rest for chunk in self._chunks if len(rest := chunk.since(complete))]
            self._chunks = _merged(kept)
            self._skip(complete)
            # What comes while this reads is for the next question: a fast writer would never let this one end.
            ends = [self._log.bounds(partition)[1] for partition in range(self._log.partitions)]
            while any(self._next[partition] < end for partition, end in enumerate(ends)) and (entries := self._read()):
                self._check_room()
                batches = [batch for entry in entries if (batch := self._take(entry)) is not None]
                self._chunks = _merged((*self._chunks, *_chunks(batches)))
                self._next |= {entry.partition: entry.offset + 1 for entry in entries}
            return complete, self._chunks

    def _complete(self) -> dict[int, int]:
        with reading(self._state) as connection:
            complete = read_offsets(connection, CONSUMER)
            if any(offset > self._next.get(partition, -1) for partition, offset in complete.items()):
                # Some of the log was stored without being seen here: only the state knows which batches that were.
                for origin, place in read_position(connection, CONSUMER).taken.items():
                    self._taken[origin] = max(place, self._taken.get(origin, place))
        return complete

    def _skip(self, complete: Mapping[int, int]) -> None:
        for partition in range(self._log.partitions):
            first = self._log.bounds(partition)[0]
            self._next[partition] = max(self._next.get(partition, 0), complete.get(partition, 0), first)

    def _read(self) -> list[LogEntry]:
        """What comes next in all partitions, together: frames of many batches cost hardly more than of few."""
        share = _BYTES_AT_A_TIME // self._log.partitions
        places = self._next.items()
        return [e for partition, offset in places for e in self._log.read(partition, offset, max_bytes=share)]

    def _check_room(self) -> None:
        full = sum(map(len, self._chunks)) >= self._max_rows
        if full and not self._full:
            _log.error("too many events are not in the lake yet: searches are refused", rows=self._max_rows)
        self._full = full
        if full:
            raise TryLater(f"over {self._max_rows} events are not in the lake yet; its writer must catch up first")

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


def _chunks(batches: Sequence[Batch]) -> Iterator[Chunk]:
    for class_uid, frame in frames(batches).items():
        if len(frame):
            places = [(entry.partition, entry.offset) for entry, _, _ in batches]
            counts = [sum(s.rows for s in sections if s.class_uid == class_uid) for _, _, sections in batches]
            partition, offset = np.repeat(np.array(places, np.int64), counts, axis=0).T
            yield Chunk(class_uid, partition, offset, nested(frame))


def _merged(chunks: Iterable[Chunk]) -> tuple[Chunk, ...]:
    """Few large chunks instead of many small: a question costs by chunk. A row is copied as often as sizes double."""
    of_class: defaultdict[int, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        piled = of_class[chunk.class_uid]
        piled.append(chunk)
        while len(piled) > 1 and len(piled[-2]) <= 2 * len(piled[-1]) and len(piled[-2]) < _LARGEST_MERGED:
            last = piled.pop()
            piled[-1] = _join(piled[-1], last)
    return tuple(chunk for piled in of_class.values() for chunk in piled)


def _join(one: Chunk, other: Chunk) -> Chunk:
    rows = pa.concat_tables([one.rows, other.rows]).combine_chunks()
    partition = np.concatenate((one.partition, other.partition))
    return Chunk(one.class_uid, partition, np.concatenate((one.offset, other.offset)), rows)
