"""The log of batches, on the adapter that the settings name."""

from __future__ import annotations

from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.config import Settings
from tocsin.ports import EventLog

__all__ = ["open_log"]


def open_log(settings: Settings) -> EventLog:
    """Open the log, or make it."""
    return SqliteLog(settings.data_dir / "log.db", settings.log_partitions)
