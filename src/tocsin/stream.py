"""The runner of every consumer: poll -> decode -> drop what was taken -> write, from the log to one sink.

The sink decides what it means to have taken a batch: it keeps the position that comes with its output, atomically with
that output, and gives it back when the consumer starts again. So each batch counts once, however often the log holds
it and however often a consumer dies.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from tocsin import metrics
from tocsin.columnar.decode import decode
from tocsin.columnar.frame import Batch
from tocsin.model.errors import BadInput, Fenced, TryLater
from tocsin.ports import EventLog, LakePosition, LogEntry

__all__ = ["Refuse", "Runner", "Sink"]

_log = structlog.get_logger(__name__)

_IDLE_S = 0.01
_LONGEST_REST_S = 0.1
_MUCH_BYTES = 512 * 1024
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 10.0

# Puts a batch that cannot be read aside, with the reason; safe to repeat.
Refuse = Callable[[LogEntry, str], None]


class Sink(Protocol):
    """What a consumer writes to."""

    @property
    def name(self) -> str:
        """The consumer's name, in metrics and positions."""
        ...

    def position(self) -> LakePosition:
        """Up to where the output holds the log."""
        ...

    def write(self, batches: Sequence[Batch], position: LakePosition) -> None:
        """Take the batches, and keep the position no later than their output; called without batches when idle.

        The position has every partition's next offset, and of the origins only those of these batches.

        Raises:
            TryLater: none of them was taken; the runner comes again with the same.
            Fenced: a newer owner has taken over; the runner stops.
        """
        ...

    def close(self) -> None:
        """Write what is still held, and stop."""
        ...


class _Stopped(Exception):
    """Told to stop while waiting for a sink; nothing of this round was taken."""


class Runner:
    """Carries one consumer from the log to its sink."""

    def __init__(
        self,
        log: EventLog,
        sink: Sink,
        refuse: Refuse,
        decode: Callable[[LogEntry], Batch] = decode,
        max_bytes: int = 4 * 1024 * 1024,
    ) -> None:
        """Start where the sink stands; `decode` may be that of `RecentBatches`, shared with other consumers."""
        self._log, self._sink, self._refuse = log, sink, refuse
        self._decode, self._max_bytes = decode, max_bytes
        position = sink.position()
        self._offsets = {p: max(position.offsets.get(p, 0), log.bounds(p)[0]) for p in range(log.partitions)}
        self._taken = dict(position.taken)
        self._turn = 0

    def run(self, stop: threading.Event) -> None:
        """Go on until told to stop; then the sink writes what it still holds, or leaves it to the next start.

        Raises:
            Fenced: a newer owner has taken over.
        """
        _log.info("consumer started", consumer=self._sink.name, offsets=self._offsets)
        while not stop.is_set():
            started = time.monotonic()
            with contextlib.suppress(_Stopped):
                read_bytes = self.step(stop)
                if 0 < read_bytes < _MUCH_BYTES:
                    # Let batches come together: a round costs nearly as much for few as for many.
                    stop.wait(min(time.monotonic() - started, _LONGEST_REST_S))
        self._sink.close()
        _log.info("consumer stopped", consumer=self._sink.name, offsets=self._offsets)

    def step(self, stop: threading.Event | None = None) -> int:
        """One round: read what there is, write it; gives the size of the batches read, in bytes as they travel."""
        entries = self._poll()
        taken: dict[str, tuple[int, int]] = {}
        batches = [batch for entry in entries if (batch := self._take(entry, taken)) is not None]
        offsets = self._offsets | {entry.partition: entry.offset + 1 for entry in entries}
        self._write(batches, LakePosition(offsets, taken), stop)
        self._offsets = offsets
        self._taken |= taken
        if entries:
            self._measure()
        return sum(len(entry.payload) for entry in entries)

    def _poll(self) -> list[LogEntry]:
        entries: list[LogEntry] = []
        for partition, offset in self._offsets.items():
            entries += self._log.read(partition, offset, max_bytes=self._max_bytes)
        if not entries:
            # Waits on one partition at a time, by turns: the others are looked at again a few milliseconds later.
            self._turn = (self._turn + 1) % len(self._offsets)
            entries = self._log.read(self._turn, self._offsets[self._turn], max_bytes=self._max_bytes, wait_s=_IDLE_S)
        return entries

    def _take(self, entry: LogEntry, taken: dict[str, tuple[int, int]]) -> Batch | None:
        origin = f"{entry.org}/{entry.origin}"
        place = (entry.epoch, entry.sequence)
        if place <= max(taken.get(origin, (-1, -1)), self._taken.get(origin, (-1, -1))):
            return None
        taken[origin] = place
        try:
            return self._decode(entry)
        except BadInput as error:
            _log.warning("batch put aside", consumer=self._sink.name, partition=entry.partition, offset=entry.offset)
            self._refuse(entry, str(error))
            return None

    def _write(self, batches: Sequence[Batch], position: LakePosition, stop: threading.Event | None) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                self._sink.write(batches, position)
            except Fenced:
                raise
            except TryLater as error:
                _log.warning("consumer waits", consumer=self._sink.name, reason=str(error), retry_s=retry_s)
                if stop is None:
                    raise
                if stop.wait(retry_s):
                    raise _Stopped from error
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                return

    def _measure(self) -> None:
        behind = sum(self._log.bounds(partition)[1] - offset for partition, offset in self._offsets.items())
        metrics.LAG.labels(self._sink.name).set(behind)
