"""A number that grows with every change that detectors must know, and what detectors have made of it."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from tocsin.state.insert import insert
from tocsin.state.tables import rule_change, rules_in_use

__all__ = ["InUse", "change_numbers", "in_use", "note_change", "note_in_use"]


class InUse(msgspec.Struct, frozen=True):
    """What a detector runs for an org, and what it last refused to run."""

    consumer: str
    change: int
    rules: int
    loaded_at: int
    problem: str | None
    problem_at: int | None


def note_change(connection: sa.Connection, org: str, now_ms: int) -> int:
    """Tell the detectors, as soon as the transaction commits, that something has changed; gives the change's number."""
    changed = insert(connection, rule_change).values(org=org, number=1, changed_at=now_ms)
    connection.execute(
        changed.on_conflict_do_update(
            index_elements=["org"], set_={"number": rule_change.c.number + 1, "changed_at": now_ms}
        )
    )
    return connection.scalar(sa.select(rule_change.c.number).where(rule_change.c.org == org)) or 0


def change_numbers(connection: sa.Connection) -> dict[str, int]:
    """The number of the last change of each org."""
    return {row.org: row.number for row in connection.execute(sa.select(rule_change.c.org, rule_change.c.number))}


def note_in_use(connection: sa.Connection, org: str, running: InUse) -> None:
    """Say what a detector runs."""
    values = msgspec.structs.asdict(running)
    said = insert(connection, rules_in_use).values(org=org, **values)
    connection.execute(said.on_conflict_do_update(index_elements=["org", "consumer"], set_=values))


def in_use(connection: sa.Connection, org: str) -> list[InUse]:
    """What each detector runs for an org."""
    columns = [rules_in_use.c[name] for name in InUse.__struct_fields__]
    rows = connection.execute(sa.select(*columns).where(rules_in_use.c.org == org).order_by(rules_in_use.c.consumer))
    return [InUse(**row) for row in rows.mappings()]
