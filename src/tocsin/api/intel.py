"""The routes under /intel."""

from __future__ import annotations

from fastapi import APIRouter

from tocsin.api.given import PROBLEMS, Back, Who
from tocsin.api.shapes import FeedBody, FeedList, LookupBody
from tocsin.intel.feeds import FeedRow, feeds_of
from tocsin.intel.hunts import Hunt, hunts_of
from tocsin.intel.lookup import lookup
from tocsin.state.engine import reading

__all__ = ["router"]

router = APIRouter(prefix="/intel", tags=["intel"], responses=PROBLEMS)


@router.get("/feeds")
def list_feeds(backend: Back, who: Who) -> FeedList:
    """Feeds and warning lists that the caller's org sees: what they list, how old that is, what went wrong."""
    with reading(backend.engine) as connection:
        hunts = {(hunt.org, hunt.feed): hunt for hunt in hunts_of(connection)}
        feeds = feeds_of(connection, who.org)
    return FeedList(feeds=[_body(feed, hunts.get((feed.org, feed.name))) for feed in feeds])


def _body(feed: FeedRow, hunt: Hunt | None) -> FeedBody:
    kinds: dict[str, int] = feed.counts.get("kinds", {})
    return FeedBody(
        name=feed.name,
        format=feed.format,
        location=feed.location,
        level=feed.level,
        shared=not feed.org,
        warns=feed.warns,
        fetched_at=feed.fetched_at,
        error=feed.error,
        kinds=kinds,
        hidden=feed.counts.get("hidden", {}),
        refused=feed.counts.get("refused", 0),
        history=None if hunt is None else hunt.share,
    )


@router.get("/lookup")
def look_up(backend: Back, who: Who, value: str) -> LookupBody:
    """Who lists a value, what hides it, and how often it was seen."""
    with reading(backend.engine) as connection:
        listed, seen = lookup(connection, who.org, value)
    return LookupBody.model_validate({"listed": listed, "seen": seen}, from_attributes=True)
