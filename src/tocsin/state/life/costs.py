"""What rules have cost since their detector started; of the whole server, since all orgs are judged together."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from tocsin.state.tables import EVERY_ORG, rule_cost

__all__ = ["RuleCost", "costs", "note_costs"]


class RuleCost(msgspec.Struct, frozen=True):
    """Events that a rule was judged on, and how long that took in all, estimated from those that were timed."""

    events: int
    took_ns: int


def note_costs(connection: sa.Connection, found: Mapping[str, RuleCost], now_ms: int) -> None:
    """Say what rules have cost, instead of what was said before."""
    connection.execute(sa.delete(rule_cost))
    rows = [
        {"org": EVERY_ORG, "rule_id": rule_id, "measured_at": now_ms, **msgspec.structs.asdict(cost)}
        for rule_id, cost in found.items()
    ]
    if rows:
        connection.execute(sa.insert(rule_cost), rows)


def costs(connection: sa.Connection) -> dict[str, RuleCost]:
    """What every rule has cost, by id; rules that cost nothing worth mentioning are absent."""
    rows = connection.execute(sa.select(rule_cost.c.rule_id, rule_cost.c.events, rule_cost.c.took_ns))
    return {row.rule_id: RuleCost(row.events, row.took_ns) for row in rows}
