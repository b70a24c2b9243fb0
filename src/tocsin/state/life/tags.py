"""Tags of agents, and the rulesets that are assigned by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from tocsin.model.errors import BadInput, NotFound
from tocsin.state.insert import insert
from tocsin.state.life.changes import note_change
from tocsin.state.tables import agent, agent_tag, ruleset_assignment

__all__ = ["agent_tags", "all_tags", "assign", "assignments", "find_agent", "parse_tags", "tag_agent", "unassign"]


def parse_tags(said: Iterable[str]) -> dict[str, str]:
    """Tags as people write them, name=value each.

    Raises:
        BadInput: one is written otherwise.
    """
    tags = {}
    for each in said:
        name, equals, value = each.partition("=")
        if not (name and equals and value) or "," in each:
            raise BadInput(f"{each!r} is no tag; write name=value, without commas")
        tags[name] = value
    return tags


def find_agent(connection: sa.Connection, org: str, named: str) -> str:
    """The id of the agent with that id or host name.

    Raises:
        NotFound: the org has none.
        BadInput: several have the name.
    """
    mine = sa.select(agent.c.id).where(agent.c.org == org, (agent.c.id == named) | (agent.c.hostname == named))
    found = list(connection.scalars(mine.limit(2)))
    if not found:
        raise NotFound(f"there is no agent {named}")
    if len(found) > 1:
        raise BadInput(f"several agents are called {named}; name one by its id")
    return str(found[0])


def tag_agent(
    connection: sa.Connection, org: str, agent_id: str, tags: Mapping[str, str], removed: Iterable[str], now_ms: int
) -> None:
    """Give an agent tags, take others away, and tell the detectors."""
    mine = (agent_tag.c.org == org) & (agent_tag.c.agent_id == agent_id)
    connection.execute(sa.delete(agent_tag).where(mine, agent_tag.c.name.in_([*tags, *removed])))
    rows = [{"org": org, "agent_id": agent_id, "name": name, "value": value} for name, value in tags.items()]
    if rows:
        connection.execute(sa.insert(agent_tag), rows)
    note_change(connection, org, now_ms)


def agent_tags(connection: sa.Connection, org: str) -> dict[str, dict[str, str]]:
    """The tags of the agents of an org, by agent."""
    return all_tags(connection).get(org, {})


def all_tags(connection: sa.Connection) -> dict[str, dict[str, dict[str, str]]]:
    """The tags of all agents, by org and agent."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in connection.execute(sa.select(agent_tag).order_by(agent_tag.c.agent_id, agent_tag.c.name)):
        found.setdefault(row.org, {}).setdefault(row.agent_id, {})[row.name] = row.value
    return found


def assign(
    connection: sa.Connection, org: str, ruleset: str, tags: Mapping[str, str], author: str, now_ms: int
) -> None:
    """Have a ruleset apply to agents that have all these tags, beside those that it applies to by earlier calls."""
    row = {"org": org, "ruleset": ruleset, "tags": _written(tags), "author": author, "created_at": now_ms}
    connection.execute(insert(connection, ruleset_assignment).on_conflict_do_nothing(), [row])
    note_change(connection, org, now_ms)


def unassign(connection: sa.Connection, org: str, ruleset: str, now_ms: int) -> None:
    """Have a ruleset apply everywhere again."""
    mine = (ruleset_assignment.c.org == org) & (ruleset_assignment.c.ruleset == ruleset)
    connection.execute(sa.delete(ruleset_assignment).where(mine))
    note_change(connection, org, now_ms)


def assignments(connection: sa.Connection) -> dict[str, dict[str, list[dict[str, str]]]]:
    """To agents with which tags rulesets are assigned, by org and ruleset."""
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in connection.execute(sa.select(ruleset_assignment).order_by(ruleset_assignment.c.tags)):
        found.setdefault(row.org, {}).setdefault(row.ruleset, []).append(parse_tags(row.tags.split(",")))
    return found


def _written(tags: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(tags.items()))
