"""The consumer that fills the lake: hot rows stay in memory until files are worth writing.

The log is the write-ahead log: what is held here is not lost with the process, it is read again. A flush commits each
class's table with its position, then the `complete` position in the state, when all tables have it. After a crash in
between, the flush is replayed, and each table takes only what its own snapshot says it lacks. The batches themselves
go to the archive first, and count there in the same transaction as the `complete` position.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
import structlog

from tocsin import metrics
from tocsin.adapters.archive import Archive, ArchivedFile
from tocsin.columnar.frame import Batch, frames
from tocsin.columnar.nested import nested
from tocsin.model.errors import TryLater, Unreachable
from tocsin.ports import Clock, Lake, LakePosition
from tocsin.state.engine import reading
from tocsin.state.position import commit_position, read_offsets, read_position

__all__ = ["CONSUMER", "FlushWhen", "LakeSink"]

_log = structlog.get_logger(__name__)

CONSUMER = "lake"


class FlushWhen(msgspec.Struct, frozen=True):
    """A flush is due when any of these is reached."""

    rows: int = 100_000
    size_bytes: int = 128 * 1024 * 1024  # of batches as they travel
    age_s: float = 30.0  # of the oldest batch held


class LakeSink:
    """Writes to the lake under a generation that was claimed with `state.position.claim` for "lake"."""

    def __init__(
        self,
        lake: Lake,
        archive: Archive,
        engine: sa.Engine,
        generation: int,
        clock: Clock,
        flush_when: FlushWhen | None = None,
    ) -> None:
        self._lake, self._engine, self._generation, self._clock = lake, engine, generation, clock
        self._archive = archive
        self._flush_when = flush_when or FlushWhen()
        # What each class's table holds beyond `complete`: read once, when the class first occurs.
        self._own: dict[int, LakePosition] = {}
        self._position = LakePosition({}, {})
        self._empty()
        with engine.begin() as connection:
            archive.begin(connection, read_offsets(connection, CONSUMER))

    @property
    def name(self) -> str:
        """The consumer's name."""
        return CONSUMER

    def position(self) -> LakePosition:
        """The complete position: every class's table holds the log up to there."""
        with reading(self._engine) as connection:
            return read_position(connection, CONSUMER)

    def write(self, batches: Sequence[Batch], position: LakePosition) -> None:
        """Hold the batches; write out what is held, when that is due.

        Raises:
            OutOfSpace, Unreachable, Fenced: the batches were not taken.
        """
        if self._due():
            self.flush()
        if not batches:
            return
        if not self._held:
            self._since_ms = self._clock.now_ms()
        self._held += batches
        self._rows += sum(header.rows for _, header, _ in batches)
        self._size += sum(len(entry.payload) for entry, _, _ in batches)
        self._position = LakePosition(position.offsets, {**self._position.taken, **position.taken})

    def flush(self) -> None:
        """Write everything that is held to the lake and move the complete position.

        Raises:
            OutOfSpace, Unreachable, Fenced: still held; tables that were committed are not written again.
        """
        if not self._held:
            return
        started_ms = self._clock.now_ms()
        archived = self._archive.write(entry for entry, _, _ in self._held)
        for class_uid in sorted({section.class_uid for _, _, sections in self._held for section in sections}):
            self._append(class_uid)
        self._complete(archived)
        metrics.EVENTS_STORED.inc(self._rows)
        _log.info("lake flushed", rows=self._rows, took_ms=self._clock.now_ms() - started_ms)
        self._empty()

    def close(self) -> None:
        """Flush; what cannot be written now is in the log."""
        try:
            self.flush()
        except TryLater as error:
            _log.warning("lake not flushed at the end", reason=str(error))

    def _due(self) -> bool:
        if not self._held:
            return False
        when = self._flush_when
        age_ms = self._clock.now_ms() - self._since_ms
        return self._rows >= when.rows or self._size >= when.size_bytes or age_ms >= 1_000 * when.age_s

    def _append(self, class_uid: int) -> None:
        # Taken out until the append has succeeded: after a failure the table itself must say what it holds.
        holds = (self._own.pop(class_uid, None) or self._lake.position(class_uid)).offsets
        lacks = [batch for batch in self._held if batch[0].offset >= holds.get(batch[0].partition, 0)]
        frame = frames(lacks, class_uid).get(class_uid)
        if frame is not None and len(frame):
            self._lake.append(class_uid, nested(frame), self._position)
        self._own[class_uid] = self._position

    def _complete(self, archived: Sequence[ArchivedFile]) -> None:
        try:
            with self._engine.begin() as connection:
                commit_position(connection, CONSUMER, self._position, self._generation, self._clock.now_ms())
                self._archive.enter(connection, archived)
        except sa.exc.OperationalError as error:
            raise Unreachable(f"the state cannot be written: {error.orig}") from error

    def _empty(self) -> None:
        self._held: list[Batch] = []
        self._rows = self._size = self._since_ms = 0
        self._position = LakePosition({}, {})
