"""What agents say and ask beside their batches, each signed: how they are, and which policies they are to apply."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from starlette.requests import Request
from starlette.routing import Route

from tocsin.ingest.answers import MAX_SMALL_BYTES, answer, named_sender, signature
from tocsin.ingest.body import read_body
from tocsin.ingest.certificates import AgentCertificates
from tocsin.ingest.policies import Delivery, Policies
from tocsin.ingest.senders import Senders
from tocsin.model.errors import BadInput
from tocsin.ports import Clock
from tocsin.state.tables import agent

__all__ = ["Reports"]


class Reports:
    """Answers signed requests of agents."""

    def __init__(
        self, senders: Senders, policies: Policies, engine: sa.Engine, clock: Clock, certificates: AgentCertificates
    ) -> None:
        self._senders, self._policies, self._engine, self._clock = senders, policies, engine, clock
        self._certificates = certificates

    def routes(self) -> list[Route]:
        """/ingest/health and /ingest/policy."""
        return [
            Route("/ingest/health", answer(self.health), methods=["POST"]),
            Route("/ingest/policy", answer(self.policy), methods=["POST"]),
        ]

    async def health(self, request: Request) -> dict[str, str]:
        """Keep how the agent is."""
        org, uid, report = await self._read(request)
        with self._engine.begin() as connection:
            row = sa.update(agent).where(agent.c.org == org, agent.c.id == uid)
            connection.execute(row.values(health=report, last_seen_at=self._clock.now_ms()))
        return {"status": "ok", "policy": self._policies.wanted(org, uid)}

    async def policy(self, request: Request) -> Delivery:
        """Deliver the policies that apply to the agent, if it has others."""
        org, uid, asked = await self._read(request)
        return self._policies.delivery(org, uid, str(asked.get("name", "")))

    async def _read(self, request: Request) -> tuple[str, str, dict[str, object]]:
        body = await read_body(request, MAX_SMALL_BYTES)
        org, uid = named_sender(request)
        self._certificates.check(request, org, uid)
        self._senders.verify(org, uid, signature(request), body)
        return org, uid, _object(body)


def _object(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"the report cannot be read: {error}") from error
