"""New and changed alerts as server-sent events; each carries its row, ready to be shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tocsin.alert.read import Alert, Filter, changed_since, counts, first_events
from tocsin.api.auth import Caller, identify
from tocsin.model.event import Json
from tocsin.state.engine import reading
from tocsin.web.alert_pages import filter_of
from tocsin.web.page import Pages

__all__ = ["live_routes"]

_POLL_S = 0.25
_CHECKS_PER_HEARTBEAT = 40
# A transaction may commit after a later one, so what changed shortly before the last change is looked at again.
_OVERLAP_MS = 3_000


def live_routes(pages: Pages) -> list[Route]:
    """The stream that the queue listens to."""

    async def stream(request: Request) -> Response:
        caller = await run_in_threadpool(pages.caller, request)
        feed = _Feed(pages, caller, filter_of(request.query_params), _last_seen(request, pages))
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_stream(request, feed), headers=headers, media_type="text/event-stream")

    return [Route("/alerts/stream", stream)]


def _last_seen(request: Request, pages: Pages) -> int:
    """From when on: where the browser's last connection ended, or when the page was made."""
    said = request.headers.get("last-event-id", "") or request.query_params.get("since", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else pages.backend.clock.now_ms()  # noqa: PLR2004  # a number of ms


class _Feed:
    """What one open page has not been told yet."""

    def __init__(self, pages: Pages, caller: Caller, wanted: Filter, since_ms: int) -> None:
        self._pages, self._caller, self._wanted = pages, caller, wanted
        self._since_ms = since_ms
        self._told: dict[str, int] = {}

    def news(self) -> str:
        """Server-sent events about whatever changed since the last call; empty if nothing did."""
        with reading(self._pages.backend.engine) as connection:
            changed = changed_since(connection, self._caller.org, self._since_ms - _OVERLAP_MS)
            fresh = [alert for alert in changed if self._told.get(alert.id) != alert.updated_at]
            if not fresh:
                return ""
            by_status = counts(connection, self._caller.org, self._wanted)
            total = counts(connection, self._caller.org, Filter())
            seen = first_events(connection, self._caller.org, [alert.id for alert in fresh])
        self._since_ms = max(self._since_ms, fresh[-1].updated_at)
        self._told = {alert.id: alert.updated_at for alert in changed}
        shown = [self._row(alert, seen) for alert in fresh]
        tabs = {**by_status, "all": sum(by_status.values()), "nav": total["open"]}
        return f"{''.join(shown)}{_message('counts', tabs, self._since_ms)}"

    def _row(self, alert: Alert, seen: dict[str, dict[str, Json]]) -> str:
        html = self._pages.fragment("_alert_row.html", alert=alert, first_events=seen)
        said = {"id": alert.id, "html": html, "matches": _matches(alert, self._wanted)}
        return _message("alert", said, alert.updated_at)

    def still_logged_in(self) -> bool:
        """Does the session that opened the stream still exist?"""
        with reading(self._pages.backend.engine) as connection:
            return identify(connection, self._caller.token, self._pages.backend.clock.now_ms()) is not None


def _message(kind: str, said: object, at_ms: int) -> str:
    return f"id: {at_ms}\nevent: {kind}\ndata: {msgspec.json.encode(said).decode()}\n\n"


def _matches(alert: Alert, wanted: Filter) -> bool:
    searched = f"{alert.title} {alert.rule_title} {alert.hostname} {alert.rule_id}".lower()
    same_status = wanted.status in ("", alert.status)
    return same_status and wanted.level in ("", alert.level) and wanted.text.lower() in searched


async def _stream(request: Request, feed: _Feed) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    checks = 0
    while not await request.is_disconnected():
        if news := await run_in_threadpool(feed.news):
            yield news
        checks += 1
        if checks % _CHECKS_PER_HEARTBEAT == 0:
            if not await run_in_threadpool(feed.still_logged_in):
                return
            yield ": still here\n\n"
        await asyncio.sleep(_POLL_S)
