"""Enrolled agents, as people see them."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from tocsin.state.tables import agent

__all__ = ["STATES", "Agent", "agents", "state_of"]

STATES = ("healthy", "late", "silent", "never")
_LATE_MS, _SILENT_MS = 60_000, 300_000


class Agent(msgspec.Struct, frozen=True):
    """An agent, and what it last said about its machine and itself."""

    id: str
    hostname: str
    enrolled_at: int
    last_seen_at: int | None
    boot_id: str
    host: dict[str, object] | None
    health: dict[str, object] | None
    state: str


def state_of(last_seen_at: int | None, now_ms: int) -> str:
    """How an agent does, by when it was last heard of."""
    if last_seen_at is None:
        return "never"
    quiet_ms = now_ms - last_seen_at
    return "healthy" if quiet_ms < _LATE_MS else "late" if quiet_ms < _SILENT_MS else "silent"


def agents(connection: sa.Connection, org: str, now_ms: int) -> list[Agent]:
    """All agents of an org, by host name."""
    columns = [agent.c[name] for name in Agent.__struct_fields__ if name != "state"]
    rows = connection.execute(sa.select(*columns).where(agent.c.org == org).order_by(agent.c.hostname, agent.c.id))
    return [Agent(**row, state=state_of(row["last_seen_at"], now_ms)) for row in rows.mappings()]
