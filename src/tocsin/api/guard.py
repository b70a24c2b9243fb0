"""From a request to its caller: a bearer token, or the session cookie with protection against forged forms."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

import sqlalchemy as sa
from starlette.requests import HTTPConnection

from tocsin.api.auth import Caller, csrf_token, identify
from tocsin.model.errors import NotAllowed
from tocsin.ports import Clock
from tocsin.state.engine import reading

__all__ = ["COOKIE", "Guard", "LoginNeeded", "same_origin"]

COOKIE = "tocsin_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class LoginNeeded(NotAllowed):
    """Nobody is logged in, or not any more."""


def same_origin(request: HTTPConnection) -> bool:
    """Does the browser say that one of our own pages sent it? Old browsers and tools that say nothing pass."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


class Guard:
    """Tells who calls."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        """Read logins from the state, and the time from the clock."""
        self._engine, self._clock = engine, clock

    def caller(self, request: HTTPConnection, form_token: str = "") -> Caller:
        """Who sent this; one that changes something by cookie must prove that it comes from a page of ours.

        Raises:
            LoginNeeded: no valid token or session.
            NotAllowed: a change by cookie without the page's token, or from another site.
        """
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._identified(bearer.strip())
        session = request.cookies.get(COOKIE, "")
        caller = self._identified(session)
        if request.scope.get("method", "GET") not in _SAFE:
            shown = form_token or request.headers.get("x-csrf-token", "")
            if not same_origin(request) or not hmac.compare_digest(shown.encode(), csrf_token(session).encode()):
                raise NotAllowed("the form is too old or not ours; load the page again")
        return caller

    def _identified(self, token: str) -> Caller:
        if token:
            with reading(self._engine) as connection:
                if caller := identify(connection, token, self._clock.now_ms()):
                    return caller
        raise LoginNeeded("log in, or send a bearer token")
