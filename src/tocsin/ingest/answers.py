"""How ingest answers: JSON for what a handler gives, problem+json for what it raises on purpose."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from tocsin.ingest.body import TooLarge, read_body
from tocsin.model.errors import BadInput, BadSignature, ChainBroken, NotAllowed, NotFound, TocsinError, TryLater

__all__ = ["MAX_SMALL_BYTES", "WrongToken", "answer", "named_sender", "problem", "read_small", "signature"]

_log = structlog.get_logger(__name__)
_Body = TypeVar("_Body")
MAX_SMALL_BYTES = 256 * 1024


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

Handler = Callable[[Request], Awaitable[msgspec.Struct | dict[str, str]]]


def answer(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that answers with what the handler gives."""

    async def endpoint(request: Request) -> Response:
        try:
            return Response(msgspec.json.encode(await handler(request)), media_type="application/json")
        except TocsinError as error:
            return problem(error)

    return endpoint


def problem(error: TocsinError) -> Response:
    """What went wrong, as problem+json."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if status >= 500:  # noqa: PLR2004 -- server errors
        _log.warning("not taken now", reason=str(error))
    said = {"type": "about:blank", "title": type(error).__name__, "status": status, "detail": str(error)}
    headers = {"Retry-After": "1"} if isinstance(error, TryLater) else {}
    if isinstance(error, WrongToken):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(said), status, headers, "application/problem+json")


async def read_small(request: Request, kind: type[_Body], what: str) -> tuple[bytes, _Body]:
    """A small JSON body, as it came and as what it says.

    Raises:
        BadInput: too large, or not of that kind.
    """
    body = await read_body(request, MAX_SMALL_BYTES)
    try:
        return body, msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"the {what} cannot be read: {error}") from error


def named_sender(request: Request) -> tuple[str, str]:
    """Org and id of the agent that says it sends this; its signature proves it."""
    return request.headers.get("tocsin-org", ""), request.headers.get("tocsin-agent", "")


def signature(request: Request) -> bytes:
    """The signature over the body.

    Raises:
        BadSignature: it is not base64.
    """
    try:
        return base64.b64decode(request.headers.get("tocsin-signature", ""), validate=True)
    except binascii.Error as error:
        raise BadSignature("Tocsin-Signature is not base64") from error
