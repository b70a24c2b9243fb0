"""Feeds for tests, by hand."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.intel.index import Feed, FeedIndex
from tocsin.intel.indicator import Indicator, Kind
from tocsin.intel.match import Matcher
from tocsin.intel.table import gather
from tocsin.intel.value import guess, normal
from tocsin.model.event import Event

__all__ = ["DAY", "NOW", "connection", "index", "indicator", "matcher"]

DAY = 86_400_000
NOW = 20_000 * DAY


def indicator(text: str, **known: object) -> Indicator:
    """An indicator of the kind that the text looks like, or that is named."""
    kind = known.pop("kind", None)
    found, value = normal(kind, text) if isinstance(kind, Kind) else guess(text)
    return Indicator(found, value, **known)  # type: ignore[arg-type]  # fields of an indicator


def index(texts: Iterable[str | Indicator], name: str = "feed", org: str = "", **known: object) -> FeedIndex:
    """A feed that lists these, read an hour before NOW."""
    items = [text if isinstance(text, Indicator) else indicator(text) for text in texts]
    feed = Feed(org, name, str(known.pop("level", "high")), NOW - DAY // 24, **known)  # type: ignore[arg-type]  # as above
    return FeedIndex(feed, gather(items, NOW // 1000 - 86_400).rows)


def matcher(*texts: str | Indicator, **known: object) -> Matcher:
    """One feed that lists these."""
    return Matcher([index(texts, **known)])  # type: ignore[arg-type]  # as above


def connection(address: str, time: int = NOW, own: str = "192.0.2.1") -> Event:
    """A connection to that address, from a host with an address of its own."""
    return Event(4001, {"time": time, "activity_id": 1, "dst_endpoint.ip": address, "device.ip": own})
