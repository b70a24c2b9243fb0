"""What keeps disks and queries small: compaction, retention, old counts forgotten, the log trimmed once all read it."""

from __future__ import annotations

import threading
import time

import sqlalchemy as sa
import structlog

from tocsin.adapters.archive import Archive
from tocsin.adapters.iceberg import IcebergLake
from tocsin.config import Settings
from tocsin.model.errors import TryLater
from tocsin.model.schema import CLASSES
from tocsin.ports import Clock, EventLog
from tocsin.state.engine import reading
from tocsin.state.ledger import forget as forget_ledger
from tocsin.state.life.hits import forget_hits
from tocsin.state.position import read_position
from tocsin.wiring.names import DETECTOR, LAKE

__all__ = ["Upkeep", "trim_log"]

_log = structlog.get_logger(__name__)
_EVERY_S = 600.0
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


class Upkeep:
    """Tends the lake and the log every ten minutes."""

    def __init__(
        self,
        settings: Settings,
        lake: IcebergLake,
        archive: Archive,
        log: EventLog,
        engine: sa.Engine,
        clock: Clock,
    ) -> None:
        self._settings, self._lake, self._archive = settings, lake, archive
        self._log, self._engine, self._clock = log, engine, clock

    def run(self, stop: threading.Event) -> None:
        """Go on until told to stop; what cannot be done now is done the next time."""
        while not stop.wait(_EVERY_S):
            try:
                self.tend()
            except TryLater as error:
                _log.warning("upkeep waits", reason=str(error))

    def tend(self) -> None:
        """Once through everything."""
        started = time.monotonic()
        now = self._clock.now_ms()
        merged = expired = 0
        oldest = now - self._settings.retention_days * _DAY_MS
        for class_uid in CLASSES:
            expired += self._lake.expire(class_uid, oldest)
            merged += self._lake.compact(class_uid)
        expired += self._archive.expire(self._engine, oldest)
        merged += self._archive.merge(self._engine, now // _DAY_MS)
        swept = self._lake.sweep() + self._archive.sweep(self._engine)
        trim_log(self._log, self._engine, now - self._settings.log_retention_hours * _HOUR_MS)
        with self._engine.begin() as connection:
            forget_hits(connection, oldest)
            forget_ledger(connection, oldest)
        took_s = round(time.monotonic() - started, 2)
        _log.info("upkeep done", merged=merged, expired=expired, swept=swept, took_s=took_s)


def trim_log(log: EventLog, engine: sa.Engine, before_ms: int) -> None:
    """Forget what is older than that and has been taken by the detector and by the lake."""
    with reading(engine) as connection:
        positions = [read_position(connection, consumer).offsets for consumer in (DETECTOR, LAKE)]
    for partition in range(log.partitions):
        taken = min(offsets.get(partition, 0) for offsets in positions)
        log.trim(partition, min(taken, log.offset_at(partition, before_ms)))
