"""Enrolled agents, as people see them."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from tocsin.state.tables import agent

__all__ = ["STATES", "Agent", "agents", "state_of"]

STATES = ("online", "offline", "revoked", "never seen")
_OFFLINE_MS = 120_000  # four reports that did not come


class Agent(msgspec.Struct, frozen=True):
    """An agent, and what it last said about its machine and itself."""

    id: str
    hostname: str
    enrolled_at: int
    last_seen_at: int | None
    boot_id: str
    host: dict[str, object] | None
    health: dict[str, object] | None
    revoked_at: int | None
    cloned_from: str | None
    state: str


def state_of(last_seen_at: int | None, revoked_at: int | None, now_ms: int) -> str:
    """How an agent does, by when it was last heard of."""
    if revoked_at is not None:
        return "revoked"
    if last_seen_at is None:
        return "never seen"
    return "online" if now_ms - last_seen_at < _OFFLINE_MS else "offline"


def agents(connection: sa.Connection, org: str, now_ms: int) -> list[Agent]:
    """All agents of an org, by host name."""
    columns = [agent.c[name] for name in Agent.__struct_fields__ if name != "state"]
    rows = connection.execute(sa.select(*columns).where(agent.c.org == org).order_by(agent.c.hostname, agent.c.id))
    return [Agent(**row, state=state_of(row["last_seen_at"], row["revoked_at"], now_ms)) for row in rows.mappings()]
