"""Rendering pages, and what every page knows: who is logged in, how many alerts are open, what time it is."""

from __future__ import annotations

from pathlib import Path

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from tocsin.alert.read import Filter, counts
from tocsin.api.auth import Caller, csrf_token
from tocsin.api.backend import Backend
from tocsin.state.engine import reading
from tocsin.web.summary import glimpse, summary
from tocsin.web.texts import FILTERS, ago

__all__ = ["HERE", "Pages"]

HERE = Path(__file__).parent


class Pages:
    """The templates over one backend."""

    def __init__(self, backend: Backend) -> None:
        """Compile every template now, so that no visitor waits for it."""
        self.backend = backend
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._templates.filters |= FILTERS
        self._templates.filters |= {"summary": summary, "glimpse": glimpse}
        for name in self._templates.list_templates():
            self._templates.get_template(name)

    def fragment(self, name: str, /, **values: object) -> str:
        """A template without the frame around it."""
        now_ms = self.backend.clock.now_ms()
        return self._templates.get_template(name).render(now_ms=now_ms, ago=lambda at: ago(at, now_ms), **values)

    def page(self, caller: Caller, name: str, /, *, status: int = 200, **values: object) -> HTMLResponse:
        """A page for somebody who is logged in."""
        with reading(self.backend.engine) as connection:
            by_status = counts(connection, caller.org, Filter())
        frame = {"caller": caller, "csrf": csrf_token(caller.token), "open_alerts": by_status["open"]}
        return HTMLResponse(self.fragment(name, **frame, **values), status)

    def bare(self, name: str, /, *, status: int = 200, **values: object) -> HTMLResponse:
        """A page for anybody."""
        return HTMLResponse(self.fragment(name, **values), status)

    def caller(self, request: Request, form_token: str = "") -> Caller:
        """Who is logged in.

        Raises:
            LoginNeeded, NotAllowed: see api.guard.
        """
        return self.backend.guard.caller(request, form_token)
