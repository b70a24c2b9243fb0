"""Gather events into batches: one priority class each, sealed by age or size, and put into the spool."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.model.errors import OutOfSpace
from tocsin.model.wire import Column, encode_sections, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin.agent.config import BatchSettings
    from tocsin.agent.deliver.spool import Spool
    from tocsin.agent.operate.health import Health
    from tocsin.model.event import Event, Value
    from tocsin.model.wire import Signer

__all__ = ["Batcher"]

TAGS: Final = "metadata.tags"
# What may be dropped first when the spool is full. Classes not named are normal.
CRITICAL, NORMAL, BULK = PRIORITIES = (0, 1, 2)
PRIORITY_OF: Final = {
    1002: CRITICAL,
    1004: CRITICAL,
    1007: CRITICAL,
    3001: CRITICAL,
    3002: CRITICAL,
    3006: CRITICAL,
    4001: BULK,
}


class Batcher:
    """Holds events until their batch is due. `host` are attributes that every event of this host has."""

    def __init__(
        self, spool: Spool, signer: Signer, settings: BatchSettings, host: dict[str, Value], health: Health
    ) -> None:
        self.not_kept: dict[str, int] = {}
        self._spool, self._signer, self._settings, self._health = spool, signer, settings, health
        self._host = host
        self.flushed: Callable[[], None] = _nothing  # called when all that was given is in the spool
        self._rows: dict[int, list[Event]] = {priority: [] for priority in PRIORITIES}
        self._count = 0
        self._first_at = 0.0

    def tag(self, tags: dict[str, str]) -> None:
        """Give every event from now on these tags; none in the place of those that it had."""
        self._host.pop(TAGS, None)
        if tags:
            listed = [{"name": name, "value": value} for name, value in sorted(tags.items())]
            self._host[TAGS] = msgspec.json.encode(listed).decode()

    def add(self, events: Sequence[Event]) -> None:
        """Take events; seals a batch as soon as one is full."""
        for event in events:
            self._rows[PRIORITY_OF.get(event.class_uid, NORMAL)].append(event)
        self._count += len(events)
        if self._count and not self._first_at:
            self._first_at = time.monotonic()
        if self._count >= self._settings.max_rows:
            self.flush()

    def lose(self, reason: str, count: int) -> None:
        """Note events that a batch should have held; the next one says so."""
        if count:
            self.not_kept[reason] = self.not_kept.get(reason, 0) + count

    def due_in_s(self, *, online: bool) -> float:
        """Time until the oldest event must leave; the longest delay if there is none."""
        delay_s = (self._settings.max_delay_ms if online else self._settings.offline_delay_ms) / 1000
        return delay_s - (time.monotonic() - self._first_at) if self._first_at else delay_s

    def flush(self) -> None:
        """Seal and spool what there is, most important first."""
        for priority, rows in self._rows.items():
            for start in range(0, len(rows), self._settings.max_rows):
                self._seal(rows[start : start + self._settings.max_rows], priority)
            self._rows[priority] = []
        if self.not_kept:
            self._seal([], PRIORITIES[0])
        self._count, self._first_at = 0, 0.0
        if not self.not_kept:
            self.flushed()

    def _seal(self, rows: list[Event], priority: int) -> None:
        self._count_overflown()
        sections = encode_sections(rows)
        for section in sections:
            section.columns += [Column(path, constant=value) for path, value in self._host.items()]
        not_kept, self.not_kept = self.not_kept, {}
        envelope, batch_hash = seal(
            sections,
            self._spool.position,
            self._signer,
            created_at=time.time_ns() // 1_000_000,
            priority=priority,
            not_kept=not_kept,
        )
        try:
            self._spool.append(envelope, batch_hash)
        except OutOfSpace:  # the spool tells its trouble itself
            self._health.count("spool_overflow", len(rows))
            self.not_kept = not_kept
            self.lose("spool_overflow", len(rows))
        else:
            self._health.count("events", len(rows))

    def _count_overflown(self) -> None:
        """For this host's own eyes: to the server the tombstones say which events lost their place."""
        if dropped := self._spool.take_dropped_rows():
            self._health.count("spool_overflow", dropped)


def _nothing() -> None:
    pass
