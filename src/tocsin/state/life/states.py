"""States that people, or noise budgets, have given to rules; what a rule's file says counts where there is none."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from tocsin.model.life import State
from tocsin.state.insert import insert
from tocsin.state.life.changes import note_change
from tocsin.state.tables import rule_noise, rule_state

__all__ = ["Given", "all_states", "give_state", "states"]


class Given(msgspec.Struct, frozen=True):
    """A state that was given to a rule."""

    state: State
    reason: str
    author: str
    changed_at: int


def states(connection: sa.Connection, org: str) -> dict[str, Given]:
    """The states that were given to rules of an org, by rule."""
    return all_states(connection).get(org, {})


def all_states(connection: sa.Connection) -> dict[str, dict[str, Given]]:
    """The states that were given, by org and rule."""
    found: dict[str, dict[str, Given]] = {}
    for row in connection.execute(sa.select(rule_state)):
        given = Given(State(row.state), row.reason, row.author, row.changed_at)
        found.setdefault(row.org, {})[row.rule_id] = given
    return found


def give_state(connection: sa.Connection, org: str, rule_id: str, given: Given) -> None:
    """Give a rule a state, and tell the detectors; one that is made active again starts its noise budget afresh."""
    values = {**msgspec.structs.asdict(given), "state": given.state.value}
    said = insert(connection, rule_state).values(org=org, rule_id=rule_id, **values)
    connection.execute(said.on_conflict_do_update(index_elements=["org", "rule_id"], set_=values))
    if given.state is State.ACTIVE:
        mine = (rule_noise.c.org == org) & (rule_noise.c.rule_id == rule_id)
        connection.execute(sa.delete(rule_noise).where(mine))
    note_change(connection, org, given.changed_at)
