"""The ledger: one row per batch that the log holds, so that what is missing can be named."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from tocsin.model.wire import BatchHeader
from tocsin.ports import LogEntry
from tocsin.state.insert import insert
from tocsin.state.tables import ledger

__all__ = ["enter", "forget"]


def enter(connection: sa.Connection, batches: Iterable[tuple[LogEntry, BatchHeader, bool]]) -> None:
    """Enter batches (and whether each is a tombstone) in the caller's transaction; one already entered stays."""
    rows = [_row(entry, header, tombstone=tombstone) for entry, header, tombstone in batches]
    if rows:
        connection.execute(insert(connection, ledger).on_conflict_do_nothing(), rows)


def forget(connection: sa.Connection, before_ms: int) -> int:
    """Forget batches received before that time, but each sender's last one; gives their number.

    What a sender sent last is what its next batch is judged by.
    """
    newer = ledger.alias()
    has_newer = sa.exists().where(
        newer.c.org == ledger.c.org,
        newer.c.agent == ledger.c.agent,
        sa.or_(
            newer.c.epoch > ledger.c.epoch,
            sa.and_(newer.c.epoch == ledger.c.epoch, newer.c.sequence > ledger.c.sequence),
        ),
    )
    old = sa.delete(ledger).where(ledger.c.received_at < before_ms, has_newer)
    return connection.execute(old).rowcount


def _row(entry: LogEntry, header: BatchHeader, *, tombstone: bool) -> dict[str, object]:
    return {
        "org": header.org,
        "agent": header.agent,
        "epoch": header.epoch,
        "sequence": header.sequence,
        "hash": header.hash(),
        "previous": header.previous,
        "created_at": header.created_at,
        "received_at": entry.received_at,
        "rows": header.rows,
        "priority": header.priority,
        "not_kept": header.not_kept,
        "partition": entry.partition,
        "offset": entry.offset,
        "tombstone": tombstone,
    }
