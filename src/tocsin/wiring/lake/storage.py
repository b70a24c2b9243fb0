"""What a process that answers questions needs: the log, and the query over lake and log."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.config import Settings
from tocsin.ports import EventLog
from tocsin.wiring.lake.event_log import open_log

__all__ = ["Storage", "open_storage"]


@dataclass(frozen=True)
class Storage:
    """The log, and the query over lake and log."""

    log: EventLog
    query: DuckdbQuery

    def close(self) -> None:
        """Close both."""
        self.query.close()
        self.log.close()


def open_storage(settings: Settings, engine: sa.Engine) -> Storage:
    """What a process that answers questions needs."""
    log = open_log(settings)
    return Storage(log, DuckdbQuery(log, state=engine, catalog=engine))
