"""Who is in the fleet: agents that are revoked, agents that joined as clones, agents that have fallen silent."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from tocsin.model.errors import NotAllowed, WrongState
from tocsin.state.insert import insert
from tocsin.state.life.changes import note_change
from tocsin.state.tables import agent, agent_tag

__all__ = ["Quiet", "add_clone", "quiet_agents", "readmit", "revoke", "revoked_agents"]

_DAY_MS = 86_400_000


def revoke(connection: sa.Connection, org: str, agent_id: str, now_ms: int) -> None:
    """From now on nothing is taken from the agent; what it sent before stays.

    Raises:
        WrongState: it is revoked already.
    """
    mine = (agent.c.org == org) & (agent.c.id == agent_id) & agent.c.revoked_at.is_(None)
    if connection.execute(sa.update(agent).where(mine).values(revoked_at=now_ms)).rowcount == 0:
        raise WrongState(f"agent {agent_id} is revoked already")


def readmit(connection: sa.Connection, org: str, agent_id: str) -> None:
    """Take the revocation back.

    Raises:
        WrongState: it is not revoked.
    """
    mine = (agent.c.org == org) & (agent.c.id == agent_id) & agent.c.revoked_at.is_not(None)
    if connection.execute(sa.update(agent).where(mine).values(revoked_at=None)).rowcount == 0:
        raise WrongState(f"agent {agent_id} is not revoked")


def revoked_agents(connection: sa.Connection) -> frozenset[tuple[str, str]]:
    """All agents from which nothing is taken, as (org, id)."""
    rows = connection.execute(sa.select(agent.c.org, agent.c.id).where(agent.c.revoked_at.is_not(None)))
    return frozenset((row.org, row.id) for row in rows)


def add_clone(
    connection: sa.Connection, org: str, parent: str, clone: dict[str, object], now_ms: int, a_day: int
) -> None:
    """Let an agent join that began with another one's state folder; it gets the other's tags. Twice is once.

    Raises:
        NotAllowed: as many clones of the other one have joined within a day as may.
    """
    known = sa.select(agent.c.id).where(agent.c.org == org, agent.c.id == clone["id"])
    if connection.execute(known).first() is not None:
        return
    recent = sa.and_(agent.c.org == org, agent.c.cloned_from == parent, agent.c.enrolled_at > now_ms - _DAY_MS)
    joined = connection.scalar(sa.select(sa.func.count()).select_from(agent).where(recent)) or 0
    if joined >= a_day:
        limit = f"{joined} clones of agent {parent} have joined within a day" if a_day else "clones may not join"
        raise NotAllowed(f"{limit} by themselves (setting agent_clones): enrol this host with a token")
    connection.execute(sa.insert(agent).values(**clone, org=org, cloned_from=parent, enrolled_at=now_ms))
    tags = sa.select(agent_tag).where(agent_tag.c.org == org, agent_tag.c.agent_id == parent)
    rows = [dict(row) | {"agent_id": clone["id"]} for row in connection.execute(tags).mappings()]
    if rows:
        connection.execute(insert(connection, agent_tag).on_conflict_do_nothing(), rows)
        note_change(connection, org, now_ms)


class Quiet(msgspec.Struct, frozen=True):
    """An agent that has fallen silent."""

    org: str
    id: str
    hostname: str
    last_seen_at: int


def quiet_agents(connection: sa.Connection, before_ms: int) -> Sequence[Quiet]:
    """Agents, not revoked, that were heard of once, and not since that time."""
    columns = (agent.c.org, agent.c.id, agent.c.hostname, agent.c.last_seen_at)
    silent = sa.select(*columns).where(agent.c.revoked_at.is_(None), agent.c.last_seen_at < before_ms)
    return [Quiet(**row) for row in connection.execute(silent.order_by(agent.c.org, agent.c.id)).mappings()]
