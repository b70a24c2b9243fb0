"""What FastAPI gives to each route: the backend of its app, and who calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from tocsin.api.auth import Caller
from tocsin.api.backend import Backend
from tocsin.api.shapes import ProblemBody

__all__ = ["PROBLEMS", "Back", "Who"]

PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"model": ProblemBody, "description": meaning}
    for status, meaning in {
        400: "What was sent cannot be used",
        401: "No valid token or session",
        403: "The caller may not do this",
        404: "It does not exist, or not for this org",
        409: "It does not fit the state that the thing is in",
    }.items()
}


def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


Back = Annotated[Backend, Depends(_backend)]


def _caller(request: Request, backend: Back) -> Caller:
    return backend.guard.caller(request)


Who = Annotated[Caller, Depends(_caller)]
