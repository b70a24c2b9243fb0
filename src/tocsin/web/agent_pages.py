"""The agents, and how each does."""

from __future__ import annotations

from collections import Counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin.api.agents import STATES, agents
from tocsin.state.engine import reading
from tocsin.web.page import Pages

__all__ = ["agent_routes"]


def agent_routes(pages: Pages) -> list[Route]:
    """/agents."""

    def show(request: Request) -> Response:
        caller = pages.caller(request)
        with reading(pages.backend.engine) as connection:
            found = agents(connection, caller.org, pages.backend.clock.now_ms())
        states = Counter(agent.state for agent in found)
        return pages.page(caller, "agents.html", agents=found, states={state: states[state] for state in STATES})

    return [Route("/agents", show)]
