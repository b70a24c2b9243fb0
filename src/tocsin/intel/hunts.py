"""Searches of history for what has just been listed, as rows of the state: planned with the indicators, done later."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from tocsin.intel.feeds import FeedRow
from tocsin.state.tables import intel_hunt

__all__ = ["Hunt", "advance", "claim_hunt", "hunts_of", "plan", "postpone"]

# Until then the detector has the new indicators too, so that no event falls between the two.
_DETECTOR_KNOWS_MS = 5_000
_LEASE_MS = 600_000


class Hunt(msgspec.Struct, frozen=True):
    """One search, from `until` back to `since`. Times are milliseconds since the epoch."""

    org: str  # of the feed
    feed: str
    version: int
    first_seen_at: int  # s; of the indicators searched for
    since: int
    until: int
    searched_to: int
    found: int
    done: bool
    error: str | None
    next_at: int
    updated_at: int

    @property
    def share(self) -> float:
        """How much of it has been searched, from 0 to 1."""
        return 1.0 if self.done else (self.until - self.searched_to) / max(1, self.until - self.since)


def plan(connection: sa.Connection, feed: FeedRow, first_seen_at: int, now_ms: int, hunt_ms: int) -> None:
    """Have history searched for what the feed has listed since then; beside the feed's new version."""
    mine = (intel_hunt.c.org == feed.org) & (intel_hunt.c.feed == feed.name)
    connection.execute(sa.delete(intel_hunt).where(mine, intel_hunt.c.done))
    until = now_ms + _DETECTOR_KNOWS_MS
    row = Hunt(
        feed.org,
        feed.name,
        feed.version + 1,
        first_seen_at,
        since=max(0, now_ms - hunt_ms),
        until=until,
        searched_to=until,
        found=0,
        done=False,
        error=None,
        next_at=until,
        updated_at=now_ms,
    )
    connection.execute(sa.insert(intel_hunt).values(msgspec.structs.asdict(row)))


def claim_hunt(connection: sa.Connection, now_ms: int) -> Hunt | None:
    """A search that is to be done, now claimed by the caller for ten minutes; None if none is."""
    due = sa.select(intel_hunt).where(~intel_hunt.c.done, intel_hunt.c.next_at <= now_ms)
    row = connection.execute(due.order_by(intel_hunt.c.next_at).limit(1)).first()
    if row is None:
        return None
    hunt = Hunt(**row._asdict())
    claimed = sa.update(intel_hunt).where(_mine(hunt), intel_hunt.c.next_at == hunt.next_at)
    return hunt if connection.execute(claimed.values(next_at=now_ms + _LEASE_MS)).rowcount else None


def advance(connection: sa.Connection, hunt: Hunt, now_ms: int) -> None:
    """Keep how far the search has come, in the transaction that keeps what it found."""
    values = {"searched_to": hunt.searched_to, "found": hunt.found, "done": hunt.done, "error": hunt.error}
    connection.execute(
        sa.update(intel_hunt).where(_mine(hunt)).values(**values, next_at=now_ms + _LEASE_MS, updated_at=now_ms)
    )


def postpone(connection: sa.Connection, hunt: Hunt, reason: str | None, next_at: int) -> None:
    """Give the search back, to be gone on with from where it stands."""
    connection.execute(sa.update(intel_hunt).where(_mine(hunt)).values(error=reason, next_at=next_at))


def hunts_of(connection: sa.Connection) -> list[Hunt]:
    """Every search that is going on, and the last of each feed."""
    found = connection.execute(sa.select(intel_hunt).order_by(intel_hunt.c.feed, intel_hunt.c.version))
    return [Hunt(**row._asdict()) for row in found]


def _mine(hunt: Hunt) -> sa.ColumnElement[bool]:
    return (intel_hunt.c.org == hunt.org) & (intel_hunt.c.feed == hunt.feed) & (intel_hunt.c.version == hunt.version)
