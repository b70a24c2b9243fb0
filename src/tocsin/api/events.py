"""The routes under /events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from tocsin.api.given import PROBLEMS, Back, Who
from tocsin.api.search import MAX_PAGE, event_page
from tocsin.api.shapes import EventList, HistogramBody, SpanBody
from tocsin.conditions.parse_sql import parse_filter
from tocsin.model.errors import BadInput
from tocsin.ports import Selection

__all__ = ["router"]

router = APIRouter(prefix="/events", tags=["events"], responses=PROBLEMS)

_HOUR_MS = 3_600_000
_Where = Annotated[str, Query(description="SQL boolean expression over event attributes")]
_Since = Annotated[int | None, Query(description="Milliseconds since the epoch, inclusive; an hour before `until`")]
_Until = Annotated[int | None, Query(description="Milliseconds since the epoch, exclusive; now if absent")]


@router.get("")
def list_events(  # the parameters are the query string
    backend: Back,
    who: Who,
    where: _Where = "",
    since: _Since = None,
    until: _Until = None,
    cursor: str = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> EventList:
    """Matching events of the caller's org, newest first."""
    wanted = _selection(backend, who, where, since, until, limit)
    return EventList.model_validate(event_page(backend.query, wanted, cursor))


@router.get("/histogram")
def event_histogram(  # the parameters are the query string
    backend: Back,
    who: Who,
    where: _Where = "",
    since: _Since = None,
    until: _Until = None,
    bins: Annotated[int, Query(ge=1, le=500)] = 60,
) -> HistogramBody:
    """How many matching events there are per equal span of time."""
    spans = backend.query.histogram(_selection(backend, who, where, since, until, 1), bins)
    counted = [SpanBody(start=start, count=count) for start, count in spans]
    return HistogramBody(spans=counted, total=sum(span.count for span in counted))


def _selection(backend: Back, who: Who, where: str, since: int | None, until: int | None, limit: int) -> Selection:
    end = backend.clock.now_ms() if until is None else until
    start = end - _HOUR_MS if since is None else since
    if not 0 <= start < end:
        raise BadInput("`since` must lie before `until`")
    return Selection(org=who.org, since=start, until=end, condition=parse_filter(where), limit=limit)
