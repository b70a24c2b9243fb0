"""POST /tokens: name and password for a bearer token."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request

from tocsin.api.auth import SESSION_MS, log_in, log_out
from tocsin.api.given import PROBLEMS, Back, Who
from tocsin.api.shapes import LoginRequest, ProblemBody, TokenBody

__all__ = ["router"]

router = APIRouter(tags=["tokens"])
_TOO_MANY: dict[int | str, dict[str, object]] = {429: {"model": ProblemBody, "description": "Too many failed logins"}}


@router.post("/tokens", status_code=HTTPStatus.CREATED, responses=PROBLEMS | _TOO_MANY)
def create_token(body: LoginRequest, request: Request, backend: Back) -> TokenBody:
    """Log in with name and password; gives a bearer token for twelve hours."""
    address = request.client.host if request.client else ""
    now_ms = backend.clock.now_ms()
    token = log_in(backend.engine, backend.attempts, backend.org, body.name, body.password, address, now_ms)
    return TokenBody(token=token, expires_at=now_ms + SESSION_MS)


@router.delete("/tokens/current", status_code=HTTPStatus.NO_CONTENT, responses=PROBLEMS)
def delete_token(backend: Back, who: Who) -> None:
    """End the token or session that this request carries."""
    with backend.engine.begin() as connection:
        log_out(connection, who.token)
