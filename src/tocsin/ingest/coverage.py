"""What the ledger proves: per agent and hour, which batches came, which are missing, and what was not kept and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from tocsin.state.tables import agent, ledger

__all__ = ["DROPPED", "INTENTIONAL", "Coverage", "coverage"]

_HOUR_MS = 3_600_000

# What an agent left out because it was told to; everything else that was not kept is loss.
INTENTIONAL = frozenset({"sampled", "rate_limited", "excluded", "own"})
DROPPED = "dropped"  # the rows of a batch of which only the tombstone came


class Coverage(msgspec.Struct):
    """One agent's hour."""

    agent: str
    hostname: str
    hour: int  # ms, start of the hour
    batches: int = 0
    events: int = 0
    missing_batches: int = 0
    broken_links: int = 0  # batches that do not name the hash of the one before
    lost: int = 0  # events lost: in the kernel, in the spool, by dropped batches
    left_out: int = 0  # events left out on purpose
    not_kept: dict[str, int] = {}

    @property
    def percent(self) -> float:
        """Events kept, of those that should have been."""
        wanted = self.events + self.lost
        return 100.0 * self.events / wanted if wanted else 100.0

    @property
    def intact(self) -> bool:
        """Whether every batch is there and follows the one before."""
        return not self.missing_batches and not self.broken_links


def coverage(connection: sa.Connection, org: str, since: int, until: int) -> list[Coverage]:
    """Coverage of every agent and hour between two times (ms), in order of agent and hour."""
    query = (
        sa.select(ledger, agent.c.hostname)
        .join(agent, sa.and_(agent.c.org == ledger.c.org, agent.c.id == ledger.c.agent), isouter=True)
        .where(ledger.c.org == org, ledger.c.received_at >= since, ledger.c.received_at < until)
        .order_by(ledger.c.agent, ledger.c.epoch, ledger.c.sequence)
    )
    hours: dict[tuple[str, int], Coverage] = {}
    for row, before in _with_predecessor(connection.execute(query)):
        hour = row.received_at - row.received_at % _HOUR_MS
        fresh = Coverage(row.agent, row.hostname or row.agent, hour, not_kept={})
        _add(hours.setdefault((row.agent, hour), fresh), row, before)
    return [hours[key] for key in sorted(hours)]


def _with_predecessor(rows: Iterable[sa.Row[Any]]) -> Iterator[tuple[sa.Row[Any], sa.Row[Any] | None]]:
    before = None
    for row in rows:
        yield row, before if before is not None and before.agent == row.agent else None
        before = row


def _add(hour: Coverage, row: sa.Row[Any], before: sa.Row[Any] | None) -> None:
    hour.batches += 1
    counts = Counter(row.not_kept)
    if row.tombstone:
        counts[DROPPED] += row.rows
    else:
        hour.events += row.rows
    hour.not_kept = dict(Counter(hour.not_kept) + counts)
    hour.left_out += sum(n for reason, n in counts.items() if reason in INTENTIONAL)
    hour.lost += sum(n for reason, n in counts.items() if reason not in INTENTIONAL)
    if before is None:
        return
    if row.epoch == before.epoch:
        hour.missing_batches += row.sequence - before.sequence - 1
        hour.broken_links += row.sequence == before.sequence + 1 and row.previous != before.hash
    else:
        # The first batch of an epoch names the last one of the epoch before.
        hour.missing_batches += row.sequence
        hour.broken_links += row.sequence == 0 and row.previous != before.hash
