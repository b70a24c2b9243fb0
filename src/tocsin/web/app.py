"""The console as an ASGI app; what else the server offers is mounted beside it by wiring."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from tocsin.api.backend import Backend
from tocsin.api.guard import LoginNeeded
from tocsin.api.problem import status_of
from tocsin.model.errors import TocsinError
from tocsin.web.agent_pages import agent_routes
from tocsin.web.alert_pages import alert_routes
from tocsin.web.headers import CONTENT_SECURITY_POLICY, SecurityHeaders
from tocsin.web.live import live_routes
from tocsin.web.login_pages import login_routes
from tocsin.web.page import HERE, Pages
from tocsin.web.policy_pages import policy_routes
from tocsin.web.rule_pages import rule_routes
from tocsin.web.search_pages import search_routes

__all__ = ["app"]


def app(backend: Backend, beside: Sequence[BaseRoute] = ()) -> Starlette:
    """The console over that backend; `beside` comes first: the API under /api/v1, ingest under /ingest."""
    pages = Pages(backend)
    routes: list[BaseRoute] = [
        *beside,
        Route("/", lambda _: RedirectResponse("/alerts", 303)),
        *login_routes(pages),
        *live_routes(pages),
        *alert_routes(pages),
        *search_routes(pages),
        *rule_routes(pages),
        *agent_routes(pages),
        *policy_routes(pages),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]

    def failed(request: Request, error: Exception) -> Response:
        return _failed(pages, request, error)

    handlers = {TocsinError: failed, HTTPException: failed, Exception: failed}
    return Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)], exception_handlers=handlers)


def _failed(pages: Pages, request: Request, error: Exception) -> Response:
    if isinstance(error, LoginNeeded):
        return RedirectResponse("/login?" + urlencode({"next": _path(request)}), 303)
    status, said = _said(error)
    page = pages.bare("error.html", status=status, title=HTTPStatus(status).phrase, said=said)
    # The answer to an error of ours is made outside of the middleware.
    page.headers["content-security-policy"] = CONTENT_SECURITY_POLICY
    return page


def _said(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.status_code, "There is nothing at this address."
    if isinstance(error, TocsinError):
        return status_of(error), f"{str(error)[:1].upper()}{str(error)[1:]}."
    return HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on the server. Its log says more."


def _path(request: Request) -> str:
    if request.method != "GET":
        return "/alerts"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
