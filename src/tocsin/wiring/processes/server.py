"""The process that people and agents talk to: ingest, API and console in one ASGI application."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from tocsin.api.app import app as api_app
from tocsin.api.auth import identify
from tocsin.api.backend import Backend
from tocsin.config import EVERY_ADDRESS, Settings
from tocsin.detect.life.books import RuleBooks
from tocsin.detect.life.overview import Rules
from tocsin.ingest.appender import Appender
from tocsin.ingest.authority import ensure_certificate, own_addresses
from tocsin.ingest.certificates import AgentCertificates, Mode
from tocsin.ingest.dead_letters import DeadLetters
from tocsin.ingest.gateway import Gateway
from tocsin.ingest.inlet import Inlet
from tocsin.ingest.installing import installing_routes
from tocsin.ingest.joining import joining_routes
from tocsin.ingest.policies import Policies
from tocsin.ingest.reports import Reports
from tocsin.ingest.routes import ingest_routes
from tocsin.ingest.senders import Senders
from tocsin.model.errors import NotAllowed
from tocsin.ports import Clock
from tocsin.state.engine import reading
from tocsin.web.app import app as web_app
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.lake.storage import Storage, open_storage
from tocsin.wiring.processes.chains import restore_chains
from tocsin.wiring.processes.claim import INSTANCE, INSTANCE_HEADER, keep_address
from tocsin.wiring.processes.first_start import apply_webhook, open_server_state, server_key
from tocsin.wiring.processes.freshness import Freshness
from tocsin.wiring.processes.memory import spare_the_collector
from tocsin.wiring.processes.peer import PeerProtocol
from tocsin.wiring.sources import READERS

__all__ = ["run"]

_log = structlog.get_logger(__name__)
_GRACE_S = 3
_KEEP_ALIVE_S = 75  # an agent with nothing to send asks every few seconds: not over a new connection each time


def _names(settings: Settings) -> list[str]:
    """What the certificate must say: the address listened on, and the name that agents and people use."""
    named = urlsplit(settings.url).hostname or settings.host
    return list({named, *own_addresses(), *({settings.host} - set(EVERY_ADDRESS))})


def run(settings: Settings, roles: set[str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    # Before the server takes the signal over it ends the start; the server, once closed, raises what it got again.
    signal.signal(signal.SIGTERM, _end)
    clock = SystemClock()
    engine = open_server_state(settings, clock.now_ms())
    apply_webhook(engine, settings)
    storage = open_storage(settings, engine)
    certificate, key, ca_pem = None, None, ""
    if not settings.loopback:
        certificate, key, ca_pem = ensure_certificate(settings.data_dir / "tls", _names(settings))
    keep_address(settings)
    application = _application(settings, engine, storage, clock, roles, ca_pem)
    _log.info("listening", url=settings.url, roles=sorted(roles))
    try:
        uvicorn.run(
            application,
            host=settings.host,
            port=settings.port,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            **_client_certificates(settings),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_KEEP_ALIVE_S,
            server_header=False,
        )
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
        storage.close()
        engine.dispose()


def _client_certificates(settings: Settings) -> dict[str, Any]:
    """Ask agents for theirs; browsers need not have one, and an agent gets its first one without."""
    if settings.loopback or settings.agent_certificates == "off":
        return {}
    ca = settings.data_dir / "tls" / "ca.pem"
    return {"ssl_ca_certs": str(ca), "ssl_cert_reqs": ssl.CERT_OPTIONAL, "http": PeerProtocol}


def _wants_certificates(settings: Settings) -> bool:
    return not settings.loopback and settings.agent_certificates == "required"


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _application(
    settings: Settings, engine: sa.Engine, storage: Storage, clock: Clock, roles: set[str], ca_pem: str
) -> Starlette:
    routes: list[BaseRoute] = [Route("/healthz", _healthy), Route("/metrics", _metrics)]
    appender = Appender(storage.log)

    if "gateway" in roles:
        routes += _ingest(settings, engine, storage, appender, clock, ca_pem)

    freshness = Freshness(storage.query)

    @asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        spare_the_collector()
        if "api" in roles:
            freshness.start()
        yield
        freshness.stop()
        appender.close()

    if "api" not in roles:
        return Starlette(routes=routes, lifespan=lifespan)
    backend = Backend(
        engine,
        storage.query,
        clock,
        settings.org,
        secure_cookies=settings.url.startswith("https:"),
        rules=Rules(RuleBooks(settings.rulesets, settings.rules)),
    )
    console = web_app(backend, beside=[*routes, Mount("/api/v1", api_app(backend))])
    console.router.lifespan_context = lifespan
    return console


def _ingest(
    settings: Settings, engine: sa.Engine, storage: Storage, appender: Appender, clock: Clock, ca_pem: str
) -> list[Route]:
    letters, senders = DeadLetters(engine, clock), Senders(engine)
    chains, policies = restore_chains(engine, storage.log), Policies(engine)
    gateway = Gateway(senders, chains, appender, letters, clock, policies)
    inlet = Inlet(READERS, server_key(settings.data_dir), appender, letters, clock, gateway="gateway")

    def authorize(request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            with reading(engine) as connection:
                caller = identify(connection, token, clock.now_ms())
            if caller is not None:
                return caller.org
        raise NotAllowed("the line inlet wants an API token: Authorization: Bearer ...")

    mode = Mode(issued=bool(ca_pem) and settings.agent_certificates != "off", required=_wants_certificates(settings))
    certificates = AgentCertificates(settings.data_dir / "tls", mode)
    reports = Reports(senders, policies, engine, clock, certificates)
    return [
        *ingest_routes(gateway, inlet, reports, certificates, authorize=authorize),
        *joining_routes(senders, engine, clock, certificates, ca_pem=ca_pem, clones_a_day=settings.agent_clones),
        *installing_routes(settings.agent_packages, settings.url),
    ]


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n", headers={INSTANCE_HEADER: os.environ.get(INSTANCE, "")})


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
