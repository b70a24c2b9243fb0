"""Event search: an expression, a span of time, a histogram, the events."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tocsin.api.auth import Caller
from tocsin.api.search import EventPage, event_page
from tocsin.conditions.parse_sql import parse_filter
from tocsin.model.errors import BadInput
from tocsin.model.schema import CLASSES
from tocsin.ports import Selection
from tocsin.web.drawing import Bar, bars
from tocsin.web.page import Pages

__all__ = ["RANGES", "search_routes"]

_HOUR_MS = 3_600_000
RANGES = {
    "15m": ("Last 15 minutes", _HOUR_MS // 4),
    "1h": ("Last hour", _HOUR_MS),
    "24h": ("Last 24 hours", 24 * _HOUR_MS),
    "7d": ("Last 7 days", 7 * 24 * _HOUR_MS),
    "30d": ("Last 30 days", 30 * 24 * _HOUR_MS),
}
_DEFAULT_RANGE = "24h"
_BINS = 72
_PAGE = 50
EXAMPLES = (
    "process.name = 'curl'",
    "process.cmd_line LIKE '%/dev/tcp/%'",
    "dst_endpoint.port = 22 AND actor.user.name != 'root'",
    "file.path LIKE '/etc/cron%'",
)


class Asked(msgspec.Struct, frozen=True):
    """What the address asks for."""

    where: str
    last: str  # key of RANGES; empty if the span is given exactly
    since: int
    until: int
    cursor: str

    def link(self, **changed: str | int) -> str:
        """The same search, changed."""
        span = {"last": self.last} if self.last else {"from": self.since, "to": self.until}
        wanted = {"q": self.where, **span, **changed}
        if "from" in changed:
            wanted.pop("last", None)
        return "/search?" + urlencode({key: value for key, value in wanted.items() if value != ""})


class Found(msgspec.Struct, frozen=True):
    """What a search gives."""

    page: EventPage
    bars: list[Bar]
    total: int


def search_routes(pages: Pages) -> list[Route]:
    """/search, and the attributes that its query bar completes."""

    def search(request: Request) -> Response:
        caller = pages.caller(request)
        asked = _asked(request.query_params, pages.backend.clock.now_ms())
        try:
            found, error = _find(pages, caller, asked), ""
        except BadInput as problem:
            found, error = None, str(problem)
        shown = {"asked": asked, "found": found, "error": error, "ranges": RANGES, "examples": EXAMPLES}
        return pages.page(caller, "search.html", status=400 if error else 200, **shown)

    def fields(request: Request) -> Response:
        pages.caller(request)
        meanings = {a.path: a.meaning for c in CLASSES.values() for a in c.attributes}
        return JSONResponse(sorted(meanings.items()), headers={"cache-control": "private, max-age=3600"})

    return [Route("/search", search), Route("/search/fields.json", fields)]


def _asked(query: QueryParams, now_ms: int) -> Asked:
    where, cursor = query.get("q", "").strip(), query.get("cursor", "")
    since, until = query.get("from", ""), query.get("to", "")
    if since.isdecimal() and until.isdecimal() and int(since) < int(until) < 2**53:
        return Asked(where, "", int(since), int(until), cursor)
    last = query.get("last", _DEFAULT_RANGE)
    last = last if last in RANGES else _DEFAULT_RANGE
    return Asked(where, last, now_ms - RANGES[last][1], now_ms, cursor)


def _find(pages: Pages, caller: Caller, asked: Asked) -> Found:
    selection = Selection(
        org=caller.org, since=asked.since, until=asked.until, condition=parse_filter(asked.where), limit=_PAGE
    )
    spans = pages.backend.query.histogram(selection, _BINS)
    found = event_page(pages.backend.query, selection, asked.cursor)
    return Found(found, bars(spans, asked.until), sum(count for _, count in spans))
