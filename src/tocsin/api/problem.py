"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tocsin.api.attempts import TooManyTries
from tocsin.api.guard import LoginNeeded
from tocsin.model.errors import BadInput, NotAllowed, NotFound, TocsinError, TryLater, WrongState

__all__ = ["problem", "status_of", "tocsin_problem"]

_STATUS: list[tuple[type[TocsinError], HTTPStatus]] = [
    (LoginNeeded, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (TooManyTries, HTTPStatus.TOO_MANY_REQUESTS),
    (NotFound, HTTPStatus.NOT_FOUND),
    (WrongState, HTTPStatus.CONFLICT),
    (BadInput, HTTPStatus.BAD_REQUEST),
    (TryLater, HTTPStatus.SERVICE_UNAVAILABLE),
]


def status_of(error: TocsinError) -> HTTPStatus:
    """The HTTP status that says the same as the error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(status: int, detail: str, *, instance: str = "") -> Response:
    """An application/problem+json answer."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if instance:
        body["instance"] = instance
    answer = Response(msgspec.json.encode(body), status, media_type="application/problem+json")
    if status == HTTPStatus.UNAUTHORIZED:
        answer.headers["www-authenticate"] = "Bearer"
    return answer


def tocsin_problem(request: Request, error: Exception) -> Response:
    """The answer for an error that Tocsin raised on purpose."""
    status = status_of(error) if isinstance(error, TocsinError) else HTTPStatus.INTERNAL_SERVER_ERROR
    answer = problem(status, str(error), instance=request.url.path)
    if isinstance(error, TooManyTries):
        answer.headers["retry-after"] = str(error.wait_s)
    return answer
