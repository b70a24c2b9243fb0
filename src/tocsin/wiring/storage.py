"""Where this server keeps events: the log, the lake and the query over both, on the adapters that the settings name."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.iceberg import IcebergLake
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.config import Settings
from tocsin.ports import EventLog, Lake, Query

__all__ = ["Storage", "open_storage"]


@dataclass(frozen=True)
class Storage:
    """Log, lake, and the query over both."""

    log: EventLog
    lake: Lake
    query: Query
