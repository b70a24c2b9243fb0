"""HTTP for senders: batches, health reports, enrolment, and lines of known sources."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable

import msgspec
import sqlalchemy as sa
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin.ingest.body import TooLarge, inflate, read_body
from tocsin.ingest.gateway import Gateway
from tocsin.ingest.inlet import NO_ORIGIN, Inlet
from tocsin.ingest.senders import Enrolment, Senders, enroll
from tocsin.model.errors import BadInput, BadSignature, ChainBroken, NotAllowed, NotFound, TocsinError, TryLater
from tocsin.model.wire import MAX_BODY_BYTES
from tocsin.ports import Clock
from tocsin.state.tables import agent

__all__ = ["ingest_routes"]

_log = structlog.get_logger(__name__)
_MAX_BATCH_BYTES = 16 * 1024 * 1024
_MAX_SMALL_BYTES = 256 * 1024


class WrongToken(NotAllowed):
    """The bearer token is missing, or nobody's."""


_STATUS: list[tuple[type[TocsinError], int]] = [
    (TooLarge, 413),
    (BadSignature, 401),
    (WrongToken, 401),
    (ChainBroken, 409),
    (NotAllowed, 403),
    (NotFound, 404),
    (BadInput, 400),
    (TryLater, 503),
]

_Handler = Callable[[Request], Awaitable[msgspec.Struct | dict[str, str]]]
Authorize = Callable[[Request], str]


def ingest_routes(
    gateway: Gateway,
    inlet: Inlet,
    senders: Senders,
    engine: sa.Engine,
    clock: Clock,
    *,
    authorize: Authorize,
    ca_pem: str,
) -> list[Route]:
    """The routes under /ingest.

    `authorize` gives the org of a request to the line inlet by its bearer token, or raises NotAllowed; batches and
    health reports are authenticated by their signatures.
    """

    async def batch(request: Request) -> msgspec.Struct:
        return await gateway.receive(await read_body(request, _MAX_BATCH_BYTES))

    async def events(request: Request) -> msgspec.Struct:
        try:
            org = authorize(request)
        except NotAllowed as error:
            raise WrongToken(str(error)) from error
        body = await read_body(request, _MAX_BATCH_BYTES)
        plain = inflate(body, request.headers.get("content-encoding", ""), MAX_BODY_BYTES)
        query = request.query_params
        origin, source, product = (
            query.get("origin") or NO_ORIGIN,
            query.get("source", "ocsf"),
            query.get("product", ""),
        )
        return await inlet.receive(org, origin, source, plain, product)

    async def enrol(request: Request) -> dict[str, str]:
        try:
            enrolment = msgspec.json.decode(await read_body(request, _MAX_SMALL_BYTES), type=Enrolment)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadInput(f"the enrolment cannot be read: {error}") from error
        with engine.begin() as connection:
            org, uid = enroll(connection, enrolment, clock.now_ms())
        _log.info("agent enrolled", org=org, agent=uid, hostname=enrolment.hostname)
        return {"org": org, "agent_id": uid, "ca": ca_pem}

    async def authority(request: Request) -> Response:
        """For who checks it by its fingerprint; nothing secret is in it."""
        del request
        if not ca_pem:
            return _problem(NotFound("this server has no certificate authority of its own: it is not served over TLS"))
        return Response(ca_pem, media_type="application/x-pem-file")

    async def health(request: Request) -> dict[str, str]:
        body = await read_body(request, _MAX_SMALL_BYTES)
        org, uid = request.headers.get("tocsin-org", ""), request.headers.get("tocsin-agent", "")
        senders.verify(org, uid, _signature(request), body)
        report = _report(body)
        with engine.begin() as connection:
            row = sa.update(agent).where(agent.c.org == org, agent.c.id == uid)
            connection.execute(row.values(health=report, last_seen_at=clock.now_ms()))
        return {"status": "ok"}

    return [
        Route("/ingest/batch", _answer(batch), methods=["POST"]),
        Route("/ingest/events", _answer(events), methods=["POST"]),
        Route("/ingest/enroll", _answer(enrol), methods=["POST"]),
        Route("/ingest/ca", authority, methods=["GET"]),
        Route("/ingest/health", _answer(health), methods=["POST"]),
    ]


def _signature(request: Request) -> bytes:
    try:
        return base64.b64decode(request.headers.get("tocsin-signature", ""), validate=True)
    except binascii.Error as error:
        raise BadSignature("Tocsin-Signature is not base64") from error


def _report(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"the health report cannot be read: {error}") from error


def _answer(handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
    """JSON for what the handler gives, problem+json for what it raises on purpose."""

    async def endpoint(request: Request) -> Response:
        try:
            return Response(msgspec.json.encode(await handler(request)), media_type="application/json")
        except TocsinError as error:
            return _problem(error)

    return endpoint


def _problem(error: TocsinError) -> Response:
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if status >= 500:  # noqa: PLR2004 -- server errors
        _log.warning("not taken now", reason=str(error))
    problem = {"type": "about:blank", "title": type(error).__name__, "status": status, "detail": str(error)}
    headers = {"Retry-After": "1"} if isinstance(error, TryLater) else {}
    if isinstance(error, WrongToken):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(problem), status, headers, "application/problem+json")
