"""Bring a feed up to date: fetch, read, compare with what it listed before, hide what is harmless, keep."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

import httpx
import msgspec
import pyarrow as pa
import sqlalchemy as sa
import zstandard

from tocsin.intel.feeds import FeedRow, all_feeds, failed, fetched, rows_of_feed, store, unchanged, warning_content
from tocsin.intel.fetch import Source, fetch
from tocsin.intel.harmless import hidden_by
from tocsin.intel.hunts import plan
from tocsin.intel.indicator import Items
from tocsin.intel.options import Options
from tocsin.intel.read.formats import READERS, TAXII
from tocsin.intel.read.stix import objects, read_objects
from tocsin.intel.read.warning_list import WarningList, read_warning_list
from tocsin.intel.table import Reading, empty, gather, kinds_of, merge, with_hidden
from tocsin.intel.taxii import fetch_objects
from tocsin.model.errors import BadInput, InvalidFeed, TryLater
from tocsin.state.engine import reading
from tocsin.state.tables import EVERY_ORG

__all__ = ["Outcome", "hide_again", "update"]

_REASONS_KEPT: Final = 100  # of what could not be read, with the feed


class Outcome(msgspec.Struct, frozen=True):
    """What came of one try."""

    changed: bool
    new: int = 0  # indicators that were not listed before
    counts: dict[str, Any] = {}
    error: str = ""


def update(engine: sa.Engine, feed: FeedRow, client: httpx.Client, now_ms: int, hunt_ms: int) -> Outcome:
    """Fetch the feed and keep what it lists now; if that fails, what it listed before stays, with the reason.

    hunt_ms: how far back history is to be searched for what is new.
    """
    try:
        source = (
            fetch_objects(feed.location, feed.read_options, feed.cursor, client)
            if feed.format == TAXII
            else (fetch(feed.location, feed.read_options, feed.cursor, client))
        )
        if not source.documents and (feed.version or not source.changes_only):
            with engine.begin() as connection:
                unchanged(connection, feed, now_ms)
            return Outcome(changed=False, counts=feed.counts)
        if feed.warns:
            return _keep_warnings(engine, feed, source, now_ms)
        return _keep_indicators(engine, feed, source, now_ms, hunt_ms)
    except (BadInput, TryLater, ValueError) as error:
        with engine.begin() as connection:
            failed(connection, feed, str(error), now_ms)
        return Outcome(changed=False, error=str(error), counts=feed.counts)


def _keep_indicators(engine: sa.Engine, feed: FeedRow, source: Source, now_ms: int, hunt_ms: int) -> Outcome:
    seen_at = now_ms // 1000
    found = gather(_items(feed.format, source, feed.read_options), seen_at)
    if not found.rows.num_rows and found.refused and not source.changes_only:
        first = found.reasons[0]
        raise InvalidFeed(f"{feed.location}: nothing of it can be read as {feed.format}: {first.where}: {first.reason}")
    with reading(engine) as connection:
        old = rows_of_feed(connection, feed) if feed.version else empty()
        lists = _warning_lists(connection, feed.org)
    rows, new = merge(old, found, keep_old=source.changes_only)
    rows = with_hidden(rows, hidden_by(rows, lists))
    counts = _counts(rows, found)
    with engine.begin() as connection:
        store(connection, feed, rows, cursor=source.cursor, counts=counts, **fetched(feed, now_ms))
        if new and hunt_ms:
            plan(connection, feed, seen_at, now_ms, hunt_ms)
    return Outcome(changed=True, new=new, counts=counts)


def _items(name: str, source: Source, options: Options) -> Items:
    if name == TAXII:
        # What one page says of another's objects counts too.
        return read_objects([each for page in source.documents for each in objects(page)])
    return chain.from_iterable(READERS[name](document, options) for document in source.documents)


def _counts(rows: pa.Table, found: Reading) -> dict[str, Any]:
    hidden = Counter(name for name in rows["hidden"].cast(pa.string()).to_pylist() if name)
    reasons = [msgspec.to_builtins(each) for each in found.reasons[:_REASONS_KEPT]]
    return {"kinds": kinds_of(rows), "hidden": dict(hidden), "refused": found.refused, "reasons": reasons}


def _keep_warnings(engine: sa.Engine, feed: FeedRow, source: Source, now_ms: int) -> Outcome:
    content = source.documents[0]
    counts = {"entries": len(read_warning_list(content).entries)}
    with engine.begin() as connection:
        packed = [zstandard.compress(content)]
        store(connection, feed, packed, cursor=source.cursor, counts=counts, **fetched(feed, now_ms))
    hide_again(engine, feed.org)
    return Outcome(changed=True, counts=counts)


def hide_again(engine: sa.Engine, org: str) -> None:
    """Judge all indicators anew by the warning lists there are; of one org, or of all if it is every org's list."""
    with reading(engine) as connection:
        feeds = [
            feed for feed in all_feeds(connection) if not feed.warns and feed.version and org in (feed.org, EVERY_ORG)
        ]
    for feed in feeds:
        # Who reads the feed meanwhile judges it by the same lists.
        with contextlib.suppress(TryLater):
            _hide_in(engine, feed)


def _hide_in(engine: sa.Engine, feed: FeedRow) -> None:
    """Judged outside the transaction that writes: of a million indicators it takes seconds."""
    with reading(engine) as connection:
        rows = rows_of_feed(connection, feed)
        hidden = hidden_by(rows, _warning_lists(connection, feed.org))
    if hidden != rows["hidden"].cast(pa.string()).to_pylist():
        counts = {**feed.counts, "hidden": dict(Counter(name for name in hidden if name))}
        with engine.begin() as connection:
            store(connection, feed, with_hidden(rows, hidden), counts=counts)


def _warning_lists(connection: sa.Connection, org: str) -> Iterator[tuple[str, WarningList]]:
    """Those of the feed's own org and those of all."""
    lists = [each for each in all_feeds(connection) if each.warns and each.version and each.org in (org, EVERY_ORG)]
    found = [(each.name, read_warning_list(zstandard.decompress(warning_content(connection, each)))) for each in lists]
    return iter(found)
