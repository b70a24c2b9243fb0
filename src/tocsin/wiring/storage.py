"""Where this server keeps events: the log, the lake and the query over both, on the adapters that the settings name."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.iceberg import IcebergLake
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.config import Settings
from tocsin.ports import EventLog

__all__ = ["Storage", "open_lake", "open_log", "open_storage"]


@dataclass(frozen=True)
class Storage:
    """The log, and the query over lake and log."""

    log: EventLog
    query: DuckdbQuery

    def close(self) -> None:
        """Close both."""
        self.query.close()
        self.log.close()


def open_log(settings: Settings) -> EventLog:
    """The log of batches."""
    return SqliteLog(settings.data_dir / "log.db", settings.log_partitions)


def open_lake(settings: Settings, generation: int = 0) -> IcebergLake:
    """The lake, as its writer of that generation."""
    return IcebergLake(settings.state, settings.data_dir / "lake", generation)


def open_storage(settings: Settings, engine: sa.Engine) -> Storage:
    """What a process that answers questions needs."""
    log = open_log(settings)
    return Storage(log, DuckdbQuery(log, state=engine, catalog=engine))
