"""Logging in and out, and the first login of all."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tocsin.api.attempts import TooManyTries
from tocsin.api.auth import SESSION_MS, create_owner, has_users, is_first_login, log_in, log_out
from tocsin.api.guard import COOKIE, same_origin
from tocsin.api.passwords import MIN_LENGTH
from tocsin.api.problem import status_of
from tocsin.model.errors import BadInput, NotAllowed
from tocsin.state.engine import reading
from tocsin.web.page import Pages

__all__ = ["login_routes"]


def login_routes(pages: Pages) -> list[Route]:
    """/login, /welcome and /logout."""
    return [
        Route("/login", _LoginPage(pages).show, methods=["GET"]),
        Route("/login", _LoginPage(pages).submit, methods=["POST"]),
        Route("/welcome", _WelcomePage(pages).show, methods=["GET"]),
        Route("/welcome", _WelcomePage(pages).submit, methods=["POST"]),
        Route("/logout", _LoginPage(pages).leave, methods=["POST"]),
    ]


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _local(path: str) -> str:
    """Where to go after the login: a page of ours and nothing else."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/alerts"


def _enter(pages: Pages, token: str, path: str) -> Response:
    answer = RedirectResponse(_local(path), 303)
    secure = pages.backend.secure_cookies
    answer.set_cookie(COOKIE, token, SESSION_MS // 1000, httponly=True, samesite="strict", secure=secure)
    return answer


class _LoginPage:
    """Name and password."""

    def __init__(self, pages: Pages) -> None:
        self._pages, self._backend = pages, pages.backend

    def show(self, request: Request) -> Response:
        with reading(self._backend.engine) as connection:
            if not has_users(connection, self._backend.org):
                query = f"?{request.url.query}" if request.url.query else ""
                return RedirectResponse(f"/welcome{query}", 303)
        return self._form(request.query_params.get("next", ""))

    def _form(self, path: str, name: str = "", error: str = "", status: int = 200) -> Response:
        return self._pages.bare("login.html", next=path, name=name, error=error, status=status)

    async def submit(self, request: Request) -> Response:
        return await run_in_threadpool(self._log_in, request, await request.form())

    def _log_in(self, request: Request, form: FormData) -> Response:
        name, path, backend = _text(form, "name"), _text(form, "next"), self._backend
        address = request.client.host if request.client else ""
        password = _text(form, "password")
        try:
            _refuse_foreign(request)
            token = log_in(
                backend.engine, backend.attempts, backend.org, name, password, address, backend.clock.now_ms()
            )
        except (NotAllowed, TooManyTries) as error:
            return self._form(path, name, str(error), status_of(error))
        return _enter(self._pages, token, path)

    async def leave(self, request: Request) -> Response:
        return await run_in_threadpool(self._log_out, request, await request.form())

    def _log_out(self, request: Request, form: FormData) -> Response:
        caller = self._pages.caller(request, _text(form, "csrf"))
        with self._backend.engine.begin() as connection:
            log_out(connection, caller.token)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer


class _WelcomePage:
    """The first login: show the token, choose a name and a password, become the owner."""

    def __init__(self, pages: Pages) -> None:
        self._pages, self._backend = pages, pages.backend

    def show(self, request: Request) -> Response:
        token = request.query_params.get("token", "").strip()
        with reading(self._backend.engine) as connection:
            if has_users(connection, self._backend.org):
                return RedirectResponse("/login", 303)
            valid = is_first_login(connection, self._backend.org, token, self._backend.clock.now_ms())
        error = "That token is not valid; the newest one is in the server\u2019s output." if token and not valid else ""
        return self._form(token if valid else "", error=error, status=403 if error else 200)

    def _form(self, token: str, name: str = "", error: str = "", status: int = 200) -> Response:
        return self._pages.bare(
            "welcome.html", token=token, name=name, error=error, min_length=MIN_LENGTH, status=status
        )

    async def submit(self, request: Request) -> Response:
        return await run_in_threadpool(self._create, request, await request.form())

    def _create(self, request: Request, form: FormData) -> Response:
        token, name, backend = _text(form, "token"), _text(form, "name"), self._backend
        password = _text(form, "password")
        try:
            _refuse_foreign(request)
            with backend.engine.begin() as connection:
                session = create_owner(connection, backend.org, token, name, password, backend.clock.now_ms())
        except BadInput as error:
            return self._form(token, name, f"{error}.", 400)
        except NotAllowed as error:
            return self._form("", name, f"{error}.", 403)
        return _enter(self._pages, session, "/alerts")


def _refuse_foreign(request: Request) -> None:
    if not same_origin(request):
        raise NotAllowed("the form was sent from another site")
