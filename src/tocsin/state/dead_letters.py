"""Batches of the log that a consumer could not read, kept with offset and reason."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.ports import LogEntry
from tocsin.state.insert import insert
from tocsin.state.tables import dead_letter

__all__ = ["put_aside"]

_MAX_PAYLOAD = 65_536


def put_aside(connection: sa.Connection, consumer: str, entry: LogEntry, reason: str) -> None:
    """Keep a log entry (the first 64 KiB of it) as a dead letter; a second time changes nothing."""
    row = {
        "org": entry.org,
        "source": consumer,
        "reason": reason,
        "partition": entry.partition,
        "offset": entry.offset,
        "received_at": entry.received_at,
        "payload": entry.payload[:_MAX_PAYLOAD],
    }
    connection.execute(insert(connection, dead_letter).on_conflict_do_nothing(), [row])
