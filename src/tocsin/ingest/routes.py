"""HTTP for senders: batches, signed reports, and lines of known sources."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from tocsin.ingest.answers import WrongToken, answer
from tocsin.ingest.body import inflate, read_body
from tocsin.ingest.certificates import AgentCertificates
from tocsin.ingest.gateway import Gateway
from tocsin.ingest.inlet import NO_ORIGIN, Inlet
from tocsin.ingest.reports import Reports
from tocsin.model.errors import InvalidBatch, NotAllowed
from tocsin.model.wire import MAX_BODY_BYTES, decode_envelope

__all__ = ["ingest_routes"]

_MAX_BATCH_BYTES = 16 * 1024 * 1024
_decode_batches = msgspec.msgpack.Decoder(list[bytes]).decode

Authorize = Callable[[Request], str]


def ingest_routes(
    gateway: Gateway, inlet: Inlet, reports: Reports, certificates: AgentCertificates, *, authorize: Authorize
) -> list[Route]:
    """The routes under /ingest, but those by which hosts join.

    `authorize` gives the org of a request to the line inlet by its bearer token, or raises NotAllowed; batches and
    reports are authenticated by their signatures.
    """

    async def batch(request: Request) -> msgspec.Struct:
        payload = await read_body(request, _MAX_BATCH_BYTES)
        if (sender := _sender_of(payload)) is not None:
            certificates.check(request, *sender)
        return await gateway.receive(payload)

    async def batches(request: Request) -> msgspec.Struct:
        try:
            payloads = _decode_batches(await read_body(request, _MAX_BATCH_BYTES))
        except msgspec.MsgspecError as error:
            raise InvalidBatch(f"the batches cannot be told apart: {error}") from error
        if payloads and (sender := _sender_of(payloads[0])) is not None:
            certificates.check(request, *sender)
        return await gateway.receive_all(payloads)

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

    return [
        Route("/ingest/batch", answer(batch), methods=["POST"]),
        Route("/ingest/batches", answer(batches), methods=["POST"]),
        Route("/ingest/events", answer(events), methods=["POST"]),
        *reports.routes(),
    ]


def _sender_of(payload: bytes) -> tuple[str, str] | None:
    """Whose the batch says that it is; None if it cannot be read, which the gateway says with the reason."""
    try:
        header = decode_envelope(payload)[1]
    except InvalidBatch:
        return None
    return header.org, header.agent
