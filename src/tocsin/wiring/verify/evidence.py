"""What is looked at: the archive, the ledger, the lake and the log's tail, as of one moment."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from tocsin.adapters.archive import Archive, ArchivedFile, list_files
from tocsin.adapters.iceberg.reader import LakeReader
from tocsin.adapters.iceberg.stored import StoredRows
from tocsin.config import Settings
from tocsin.ingest.provenance.batches import Keys, number_of
from tocsin.ports import EventLog, LogEntry
from tocsin.state.engine import reading
from tocsin.state.position import read_offsets
from tocsin.state.tables import archive_start
from tocsin.wiring.names import DETECTOR, LAKE
from tocsin.wiring.processes.first_start import server_key

__all__ = ["Evidence", "Period", "open_evidence"]

_DAY_MS = 86_400_000
_BYTES_AT_A_TIME = 8 * 1024 * 1024


class Period(msgspec.Struct, frozen=True):
    """Batches received from `since` on and before `until` (ms), of one agent or of all."""

    since: int
    until: int
    agent: str = ""

    def holds(self, entry: LogEntry) -> bool:
        """Whether the batch is to be looked at."""
        return self.since <= entry.received_at < self.until and self.agent in ("", entry.origin)


class Evidence:
    """Read in this order, so that what is in a later part is in an earlier one or on its way: archive, lake, log."""

    def __init__(self, settings: Settings, engine: sa.Engine, log: EventLog, period: Period) -> None:
        self.org, self.engine, self.period, self._log = settings.org, engine, period, log
        self.archive = Archive(settings.data_dir / "archive")
        with reading(engine) as connection:
            self.judged = read_offsets(connection, DETECTOR)
            self.complete = read_offsets(connection, LAKE)
            self.started = {row.partition: row.offset for row in connection.execute(sa.select(archive_start))}
            self.keys = Keys(connection, self.org, server_key(settings.data_dir).public_key())
        self.archived: list[ArchivedFile] = list_files(engine, self.org, period.since, period.until)
        self.lake = StoredRows(LakeReader(engine).plans(), self.org)
        self.tail = self._read_tail()
        self.on_their_way = {number_of(e.org, e.origin, e.epoch, e.sequence) for e in self.tail}
        self.kept_since = _first_day_kept(period.until - settings.retention_days * _DAY_MS)

    def _read_tail(self) -> list[LogEntry]:
        """What the log holds beyond the archive."""
        entries: list[LogEntry] = []
        for partition in range(self._log.partitions):
            offset = max(self.complete.get(partition, 0), self._log.bounds(partition)[0])
            while found := self._log.read(partition, offset, max_bytes=_BYTES_AT_A_TIME):
                entries += [entry for entry in found if entry.org == self.org]
                offset = found[-1].offset + 1
        return entries

    def is_archived(self, partition: int, offset: int) -> bool:
        """Whether the archive must hold what was at that place of the log."""
        return bool(self.started.get(partition, 2**62) <= offset < self.complete.get(partition, 0))

    def is_entered(self, partition: int, offset: int) -> bool:
        """Whether the ledger must know it."""
        return offset < self.judged.get(partition, 0)


def open_evidence(settings: Settings, engine: sa.Engine, log: EventLog, period: Period) -> Evidence:
    """Everything as it is now."""
    return Evidence(settings, engine, log, period)


def _first_day_kept(oldest_ms: int) -> int:
    """From when on no event may have been dropped by retention, which drops whole days."""
    return (oldest_ms // _DAY_MS + 1) * _DAY_MS
