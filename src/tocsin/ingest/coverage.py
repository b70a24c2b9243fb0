"""What the ledger proves: per agent and hour, which batches came, which are missing, and what was not kept and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from tocsin.state.tables import agent, ledger

__all__ = ["DROPPED", "INTENTIONAL", "Coverage", "coverage", "hour_of", "reason_of"]

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_BACKLOG_DAYS = 30  # an agent's clock is believed so far back, and an hour ahead

# What an agent left out because it was told to; everything else that was not kept is loss.
INTENTIONAL = frozenset({"sampled", "rate_limited", "excluded", "adaptive", "own"})
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
    def kept_percent(self) -> float:
        """Events kept, of all that the agent knows to have happened: what it left out as it was told counts too."""
        happened = self.events + self.lost + self.left_out
        return 100.0 * self.events / happened if happened else 100.0

    @property
    def intact(self) -> bool:
        """Whether every batch is there and follows the one before."""
        return not self.missing_batches and not self.broken_links


def reason_of(said: str) -> str:
    """Why events were not kept, without the class of which they were: sampled/4001 is for sampled."""
    return said.partition("/")[0]


def hour_of(received_at: int, created_at: int) -> int:
    """The start of the hour that a batch belongs to: when it was sealed, as what waited for hours says when that was.

    A clock that cannot be right is not believed; then the hour of receipt counts.
    """
    believed = received_at - _BACKLOG_DAYS * _DAY_MS <= created_at <= received_at + _HOUR_MS
    at = created_at if believed else received_at
    return at - at % _HOUR_MS


def coverage(connection: sa.Connection, org: str, since: int, until: int, of_agent: str = "") -> list[Coverage]:
    """Coverage of every agent and hour by what was received between two times (ms), in order of agent and hour."""
    query = (
        sa.select(ledger, agent.c.hostname)
        .join(agent, sa.and_(agent.c.org == ledger.c.org, agent.c.id == ledger.c.agent), isouter=True)
        .where(ledger.c.org == org, ledger.c.received_at >= since, ledger.c.received_at < until)
        .order_by(ledger.c.agent, ledger.c.epoch, ledger.c.sequence)
    )
    if of_agent:
        query = query.where(ledger.c.agent == of_agent)
    hours: dict[tuple[str, int], Coverage] = {}
    for row, before in _with_predecessor(connection, connection.execute(query)):
        hour = hour_of(row.received_at, row.created_at)
        fresh = Coverage(row.agent, row.hostname or row.agent, hour, not_kept={})
        _add(hours.setdefault((row.agent, hour), fresh), row, before)
    return [hours[key] for key in sorted(hours)]


def _with_predecessor(
    connection: sa.Connection, rows: Iterable[sa.Row[Any]]
) -> Iterator[tuple[sa.Row[Any], sa.Row[Any] | None]]:
    before = None
    for row in rows:
        if before is None or before.agent != row.agent:
            before = _last_before(connection, row)
        yield row, before
        before = row


def _last_before(connection: sa.Connection, row: sa.Row[Any]) -> sa.Row[Any] | None:
    """The batch of the same sender before this one, which was received before the time that is looked at."""
    earlier = sa.or_(ledger.c.epoch < row.epoch, sa.and_(ledger.c.epoch == row.epoch, ledger.c.sequence < row.sequence))
    query = sa.select(ledger).where(ledger.c.org == row.org, ledger.c.agent == row.agent, earlier)
    return connection.execute(query.order_by(ledger.c.epoch.desc(), ledger.c.sequence.desc()).limit(1)).first()


def _add(hour: Coverage, row: sa.Row[Any], before: sa.Row[Any] | None) -> None:
    hour.batches += 1
    counts = Counter(row.not_kept)
    if row.tombstone:
        counts[DROPPED] += row.rows
    else:
        hour.events += row.rows
    hour.not_kept = dict(Counter(hour.not_kept) + counts)
    hour.left_out += sum(n for reason, n in counts.items() if reason_of(reason) in INTENTIONAL)
    hour.lost += sum(n for reason, n in counts.items() if reason_of(reason) not in INTENTIONAL)
    if before is None:
        return
    if row.epoch == before.epoch:
        hour.missing_batches += row.sequence - before.sequence - 1
        hour.broken_links += row.sequence == before.sequence + 1 and row.previous != before.hash
    else:
        # The first batch of an epoch names the last one of the epoch before.
        hour.missing_batches += row.sequence
        hour.broken_links += row.sequence == 0 and row.previous != before.hash
