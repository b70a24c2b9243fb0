"""The REST API as an ASGI app, to be mounted under /api/v1."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

import tocsin
from tocsin.api import alerts, events, fleet, intel, rules, suppressions, tokens
from tocsin.api.backend import Backend
from tocsin.api.problem import problem, tocsin_problem
from tocsin.model.errors import TocsinError

__all__ = ["app"]


def app(backend: Backend) -> FastAPI:
    """The API over that backend; its description is at /openapi.json."""
    # The documentation pages that FastAPI brings load scripts from elsewhere.
    made = FastAPI(
        title="Tocsin",
        version=tocsin.__version__,
        description="Alerts, events and agents of one org. Times are milliseconds since the epoch.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    made.state.backend = backend
    for each in (tokens, alerts, events, rules, suppressions, intel, fleet):
        made.include_router(each.router)
    made.add_exception_handler(TocsinError, tocsin_problem)
    made.add_exception_handler(RequestValidationError, _invalid)
    made.add_exception_handler(HTTPException, _http)
    made.add_exception_handler(Exception, _broken)
    return made


def _invalid(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in found)
    return problem(400, said or "the request cannot be read", instance=request.url.path)


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return problem(status, str(error.detail) if isinstance(error, HTTPException) else "", instance=request.url.path)


def _broken(request: Request, _error: Exception) -> Response:
    return problem(500, "something went wrong on the server; its log says more", instance=request.url.path)
