"""The routes /agents and /status."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa
from fastapi import APIRouter

import tocsin
from tocsin.alert.outbox import NEVER_MS
from tocsin.alert.read import Filter, counts
from tocsin.api.agents import STATES, agents
from tocsin.api.given import PROBLEMS, Back, Who
from tocsin.api.shapes import AgentBody, AgentList, StatusBody
from tocsin.state.engine import reading
from tocsin.state.tables import dead_letter, outbox

__all__ = ["router"]

router = APIRouter(tags=["fleet"], responses=PROBLEMS)


@router.get("/agents")
def list_agents(backend: Back, who: Who) -> AgentList:
    """All agents of the caller's org, and how they do."""
    with reading(backend.engine) as connection:
        found = agents(connection, who.org, backend.clock.now_ms())
    return AgentList(agents=[AgentBody.model_validate(agent) for agent in found])


@router.get("/status")
def show_status(backend: Back, who: Who) -> StatusBody:
    """The state of the caller's org in numbers."""
    with reading(backend.engine) as connection:
        states = Counter(agent.state for agent in agents(connection, who.org, backend.clock.now_ms()))
        put_aside = sa.select(sa.func.count()).select_from(dead_letter).where(dead_letter.c.org == who.org)
        return StatusBody(
            version=tocsin.__version__,
            org=who.org,
            caller=who.name,
            alerts=counts(connection, who.org, Filter()),
            agents={state: states[state] for state in STATES},
            notifications=_notifications(connection, who.org),
            dead_letters=connection.scalar(put_aside) or 0,
        )


def _notifications(connection: sa.Connection, org: str) -> dict[str, int]:
    outcome = sa.case(
        (outbox.c.delivered_at.is_not(None), "delivered"), (outbox.c.next_try_at == NEVER_MS, "dead"), else_="waiting"
    )
    grouped = sa.select(outcome, sa.func.count()).where(outbox.c.org == org).group_by(outcome)
    found = {row[0]: row[1] for row in connection.execute(grouped)}
    return {"waiting": 0, "delivered": 0, "dead": 0} | found
