"""How often rules matched, an hour at a time, and how many of their alerts count against their noise budgets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from tocsin.state.insert import insert
from tocsin.state.tables import rule_hit, rule_noise

__all__ = [
    "DAY_MS",
    "HOUR_MS",
    "Hits",
    "add_hits",
    "add_noise",
    "forget_hits",
    "hits",
    "hits_by_hour",
    "last_hits",
    "noise",
]

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Hits(msgspec.Struct, frozen=True):
    """Matches of a rule, and what became of them."""

    matches: int = 0
    alerts: int = 0  # that were opened, and that somebody was told of
    staged: int = 0  # matches that nobody was told of, since the rule is staged
    suppressed: int = 0  # matches that a suppression has hidden

    def __add__(self, other: Hits) -> Hits:
        return Hits(
            self.matches + other.matches,
            self.alerts + other.alerts,
            self.staged + other.staged,
            self.suppressed + other.suppressed,
        )


def add_hits(connection: sa.Connection, found: Mapping[tuple[str, str, int], Hits]) -> None:
    """Add to what was counted for (org, rule, hour), in the caller's transaction."""
    if not found:
        return
    rows = [
        {"org": org, "rule_id": rule_id, "hour": hour, **msgspec.structs.asdict(counted)}
        for (org, rule_id, hour), counted in found.items()
    ]
    upsert = insert(connection, rule_hit)
    more = {name: rule_hit.c[name] + upsert.excluded[name] for name in Hits.__struct_fields__}
    connection.execute(upsert.on_conflict_do_update(index_elements=["org", "rule_id", "hour"], set_=more), rows)


def hits(connection: sa.Connection, org: str, since_ms: int) -> dict[str, Hits]:
    """What was counted since then, by rule."""
    sums = [sa.func.sum(rule_hit.c[name]).label(name) for name in Hits.__struct_fields__]
    mine = sa.select(rule_hit.c.rule_id, *sums).where(rule_hit.c.org == org, rule_hit.c.hour >= since_ms)
    rows = connection.execute(mine.group_by(rule_hit.c.rule_id))
    return {row.rule_id: Hits(*(int(row._mapping[name]) for name in Hits.__struct_fields__)) for row in rows}  # noqa: SLF001 -- the name is SQLAlchemy's


def hits_by_hour(connection: sa.Connection, org: str, rule_id: str, since_ms: int) -> dict[int, Hits]:
    """What was counted of one rule since then, by the hour; hours without any are absent."""
    columns = [rule_hit.c[name] for name in Hits.__struct_fields__]
    mine = sa.select(rule_hit.c.hour, *columns).where(rule_hit.c.org == org, rule_hit.c.rule_id == rule_id)
    rows = connection.execute(mine.where(rule_hit.c.hour >= since_ms).order_by(rule_hit.c.hour))
    return {row[0]: Hits(*row[1:]) for row in rows}


def last_hits(connection: sa.Connection, org: str) -> dict[str, int]:
    """When the last hour began in which a rule matched, by rule."""
    last = sa.select(rule_hit.c.rule_id, sa.func.max(rule_hit.c.hour).label("hour")).where(rule_hit.c.org == org)
    return {row.rule_id: row.hour for row in connection.execute(last.group_by(rule_hit.c.rule_id))}


def forget_hits(connection: sa.Connection, before_ms: int) -> int:
    """Forget what was counted earlier; gives how many rows went away."""
    connection.execute(sa.delete(rule_noise).where(rule_noise.c.day < before_ms))
    return connection.execute(sa.delete(rule_hit).where(rule_hit.c.hour < before_ms)).rowcount


def noise(connection: sa.Connection, org: str, rule_id: str, day: int) -> int:
    """Alerts that the rule has opened that day."""
    mine = sa.select(rule_noise.c.alerts).where(rule_noise.c.org == org, rule_noise.c.rule_id == rule_id)
    return connection.scalar(mine.where(rule_noise.c.day == day)) or 0


def add_noise(connection: sa.Connection, opened: Mapping[tuple[str, str, int], int]) -> None:
    """Add alerts to (org, rule, day), in the caller's transaction."""
    if not opened:
        return
    rows = [{"org": org, "rule_id": rule, "day": day, "alerts": count} for (org, rule, day), count in opened.items()]
    upsert = insert(connection, rule_noise)
    more = {"alerts": rule_noise.c.alerts + upsert.excluded.alerts}
    connection.execute(upsert.on_conflict_do_update(index_elements=["org", "rule_id", "day"], set_=more), rows)
