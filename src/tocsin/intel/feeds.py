"""Feeds in the state: what there is, what is due, and what came of the last try."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import sqlalchemy as sa

from tocsin.intel.index import Feed
from tocsin.intel.options import Options
from tocsin.intel.table import blocks, table_of
from tocsin.model.errors import InvalidSetting, NotFound, TryLater
from tocsin.state.tables import EVERY_ORG, intel_block, intel_feed, intel_hunt

__all__ = [
    "FeedRow",
    "add",
    "all_feeds",
    "claim_due",
    "failed",
    "feeds_of",
    "fetched",
    "one",
    "remove",
    "rows_of_feed",
    "store",
    "unchanged",
    "versions",
    "warning_content",
]

_LEASE_MS = 600_000  # whoever fetches a feed has so long before another may try
_SOONEST_MS, _LATEST_MS = 60_000, 3_600_000  # after a failure


class FeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A feed as it is kept. Times are milliseconds since the epoch."""

    org: str  # empty: every org's
    name: str
    format: str
    location: str
    level: str
    created_at: int
    next_at: int
    warns: bool = False
    options: dict[str, Any] = {}
    every_ms: int = 0  # 0: only when asked to
    version: int = 0
    fetched_at: int | None = None
    tried_at: int | None = None
    error: str | None = None
    counts: dict[str, Any] = {}
    cursor: dict[str, Any] = {}

    @property
    def read_options(self) -> Options:
        """What the person who added it said about it."""
        return msgspec.convert(self.options, Options)

    @property
    def matched(self) -> Feed:
        """What a match says of it."""
        return Feed(self.org, self.name, self.level, self.fetched_at or 0, private=self.read_options.private)


def add(connection: sa.Connection, feed: FeedRow) -> None:
    """Keep a new feed.

    Raises:
        InvalidSetting: an org that would see it has one of that name.
    """
    taken = sa.select(intel_feed.c.name).where(intel_feed.c.name == feed.name)
    if feed.org != EVERY_ORG:
        taken = taken.where(intel_feed.c.org.in_([feed.org, EVERY_ORG]))
    if connection.execute(taken).first() is not None:
        raise InvalidSetting(f"there is a feed {feed.name} already: remove it first, or choose another name")
    connection.execute(sa.insert(intel_feed).values(msgspec.structs.asdict(feed)))


def remove(connection: sa.Connection, org: str, name: str) -> None:
    """Forget a feed and all that it lists; alerts that it raised stay.

    Raises:
        NotFound: there is none of that name.
    """
    feed = one(connection, org, name)
    connection.execute(sa.delete(intel_feed).where(intel_feed.c.org == feed.org, intel_feed.c.name == name))
    for table in (intel_block, intel_hunt):
        connection.execute(sa.delete(table).where(table.c.org == feed.org, table.c.feed == name))


def feeds_of(connection: sa.Connection, org: str) -> list[FeedRow]:
    """The org's feeds and those of all orgs, by name."""
    return [feed for feed in all_feeds(connection) if feed.org in (org, EVERY_ORG)]


def all_feeds(connection: sa.Connection) -> list[FeedRow]:
    """Every org's feeds."""
    found = connection.execute(sa.select(intel_feed).order_by(intel_feed.c.name, intel_feed.c.org))
    return [FeedRow(**row._asdict()) for row in found]


def one(connection: sa.Connection, org: str, name: str) -> FeedRow:
    """The feed that the org knows by that name.

    Raises:
        NotFound: there is none; names those that there are.
    """
    feeds = feeds_of(connection, org)
    found = next((feed for feed in feeds if feed.name == name), None)
    if found is None:
        known = ", ".join(feed.name for feed in feeds) or "none yet"
        raise NotFound(f"there is no feed {name}; there are {known}")
    return found


def versions(connection: sa.Connection) -> dict[tuple[str, str], tuple[int, str]]:
    """By (org, name), the version and level of each feed that is matched; cheap enough to ask every second."""
    columns = (intel_feed.c.org, intel_feed.c.name, intel_feed.c.version, intel_feed.c.level)
    found = connection.execute(sa.select(*columns).where(~intel_feed.c.warns, intel_feed.c.version > 0))
    return {(row.org, row.name): (row.version, row.level) for row in found}


def claim_due(connection: sa.Connection, now_ms: int) -> FeedRow | None:
    """A feed that is due, now claimed by the caller for ten minutes; None if none is."""
    due = sa.select(intel_feed).where(intel_feed.c.next_at <= now_ms, intel_feed.c.every_ms > 0)
    row = connection.execute(due.order_by(intel_feed.c.next_at).limit(1)).first()
    if row is None:
        return None
    claimed = connection.execute(
        sa.update(intel_feed)
        .where(intel_feed.c.org == row.org, intel_feed.c.name == row.name, intel_feed.c.next_at == row.next_at)
        .values(next_at=now_ms + _LEASE_MS)
    )
    return FeedRow(**row._asdict()) if claimed.rowcount else None


def rows_of_feed(connection: sa.Connection, feed: FeedRow) -> pa.Table:
    """All that the feed lists."""
    return table_of(_parts(connection, feed))


def warning_content(connection: sa.Connection, feed: FeedRow) -> bytes:
    """The file of a warning list."""
    return b"".join(_parts(connection, feed))


def _parts(connection: sa.Connection, feed: FeedRow) -> list[bytes]:
    mine = sa.select(intel_block.c.content).where(intel_block.c.org == feed.org, intel_block.c.feed == feed.name)
    return list(connection.scalars(mine.order_by(intel_block.c.part)))


def store(connection: sa.Connection, feed: FeedRow, content: pa.Table | Sequence[bytes], **values: object) -> None:
    """Replace all that the feed lists, as its next version; who matches sees either the one or the other.

    Raises:
        TryLater: it has changed, or is gone, since `feed` was read; the transaction must not be committed.
    """
    connection.execute(sa.delete(intel_block).where(intel_block.c.org == feed.org, intel_block.c.feed == feed.name))
    parts: Iterable[bytes] = blocks(content) if isinstance(content, pa.Table) else content
    for part, packed in enumerate(parts):
        row = {"org": feed.org, "feed": feed.name, "part": part, "content": packed}
        connection.execute(sa.insert(intel_block).values(row))
    if not _update(connection, feed, version=feed.version + 1, **values):
        raise TryLater(f"feed {feed.name} was changed or removed by another at the same time")


def fetched(feed: FeedRow, now_ms: int) -> dict[str, object]:
    """What changes about a feed when it could be read."""
    return {"fetched_at": now_ms, "tried_at": now_ms, "next_at": now_ms + feed.every_ms, "error": None}


def unchanged(connection: sa.Connection, feed: FeedRow, now_ms: int) -> None:
    """Note that the source has nothing new."""
    _update(connection, feed, **fetched(feed, now_ms))


def failed(connection: sa.Connection, feed: FeedRow, reason: str, now_ms: int) -> None:
    """Note that the feed could not be read, and try again sooner; what it listed stays."""
    soon = min(max(feed.every_ms // 10, _SOONEST_MS), _LATEST_MS)
    _update(connection, feed, tried_at=now_ms, next_at=now_ms + soon, error=reason)


def _update(connection: sa.Connection, feed: FeedRow, **values: object) -> bool:
    """Whether the feed was still as it is known."""
    mine = (intel_feed.c.org == feed.org) & (intel_feed.c.name == feed.name) & (intel_feed.c.version == feed.version)
    return connection.execute(sa.update(intel_feed).where(mine).values(**values)).rowcount == 1
