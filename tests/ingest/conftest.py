"""A gateway on a real log and a real state."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.ingest.appender import Appender
from tocsin.ingest.certificates import AgentCertificates, Mode
from tocsin.ingest.chain import Chains
from tocsin.ingest.dead_letters import DeadLetters
from tocsin.ingest.gateway import Gateway
from tocsin.ingest.inlet import Inlet
from tocsin.ingest.joining import joining_routes
from tocsin.ingest.policies import Policies
from tocsin.ingest.reports import Reports
from tocsin.ingest.routes import ingest_routes
from tocsin.ingest.senders import Senders
from tocsin.model import wire
from tocsin.model.errors import NotAllowed
from tocsin.model.event import Event
from tocsin.model.wire import ChainPosition
from tocsin.ports import LogEntry
from tocsin.state.engine import open_state, reading
from tocsin.state.tables import dead_letter
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.processes.first_start import make_enrolment_token
from tocsin.wiring.sources import READERS


@dataclass
class Server:
    """The ingest routes, and what lies behind them."""

    client: TestClient
    engine: sa.Engine
    log: SqliteLog

    def token(self, uses: int = 1) -> str:
        return make_enrolment_token(self.engine, "default", uses=uses, hours=1, now_ms=SystemClock().now_ms())

    def entries(self) -> list[LogEntry]:
        found = []
        for partition in range(self.log.partitions):
            offset = 0
            while got := self.log.read(partition, offset, max_bytes=1 << 30):
                found += got
                offset = got[-1].offset + 1
        return found

    def dead_letters(self) -> list[str]:
        with reading(self.engine) as connection:
            return list(connection.scalars(sa.select(dead_letter.c.reason).order_by(dead_letter.c.id)))


class Sender:
    """An enrolled agent's side of the wire."""

    def __init__(self, server: Server) -> None:
        self.server, self.key = server, Ed25519PrivateKey.generate()
        public = base64.b64encode(self.key.public_key().public_bytes_raw()).decode()
        answer = server.client.post(
            "/ingest/enroll", json={"token": server.token(), "public_key": public, "hostname": "web-1"}
        )
        assert answer.status_code == 200, answer.text
        self.position = ChainPosition(answer.json()["org"], answer.json()["agent_id"], "boot-1", 1, 0, b"")

    def seal(self, *events: Event) -> bytes:
        """The next batch; the position moves on."""
        payload, batch_hash = wire.seal(wire.encode_sections(events), self.position, self.key, created_at=1)
        self.position = self.position.after(batch_hash)
        return payload

    def health(self, report: dict[str, object]) -> dict[str, str]:
        """Headers that sign a health report."""
        signature = base64.b64encode(self.key.sign(msgspec.json.encode(report))).decode()
        names = {"Tocsin-Org": self.position.org, "Tocsin-Agent": self.position.agent}
        return {**names, "Tocsin-Signature": signature}


def _only_the_key(request: Request) -> str:
    if request.headers.get("authorization") != "Bearer let-me-in":
        raise NotAllowed("the bearer token is not known")
    return "default"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Ingest on the embedded adapters."""
    clock = SystemClock()
    engine = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    log = SqliteLog(tmp_path / "log.db", 2)
    appender, letters, senders = Appender(log), DeadLetters(engine, clock), Senders(engine)
    policies = Policies(engine)
    gateway = Gateway(senders, Chains(), appender, letters, clock, policies)
    inlet = Inlet(READERS, Ed25519PrivateKey.generate(), appender, letters, clock, gateway="gateway")
    certificates = AgentCertificates(tmp_path / "tls", Mode())
    reports = Reports(senders, policies, engine, clock, certificates)
    routes = ingest_routes(gateway, inlet, reports, certificates, authorize=_only_the_key)
    routes += joining_routes(senders, engine, clock, certificates, ca_pem="", clones_a_day=2)
    with TestClient(Starlette(routes=routes)) as client:
        yield Server(client, engine, log)
    appender.close()
    log.close()
    engine.dispose()


@pytest.fixture
def sender(server: Server) -> Sender:
    """An enrolled agent."""
    return Sender(server)
