"""The indicators of all feeds as the detector matches them; without what only searching history needs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
import structlog

from tocsin import metrics
from tocsin.columnar.frame import Frame
from tocsin.intel.feeds import FeedRow, all_feeds, rows_of_feed
from tocsin.intel.index import FeedIndex
from tocsin.intel.match import Matcher
from tocsin.model.finding import Finding
from tocsin.state.engine import reading

__all__ = ["Listed"]

_log = structlog.get_logger(__name__)
_LOOK_S: Final = 0.5


class Listed:
    """What all feeds list, as the detector matches it; swapped whole when a feed changes."""

    def __init__(self, engine: sa.Engine) -> None:
        """Load everything, so that no event is judged without."""
        self._engine = engine
        self._known: dict[tuple[str, str], tuple[FeedRow, FeedIndex]] = {}
        self._matcher = Matcher([])
        self.refresh()

    def findings(self, frames: Mapping[int, Frame]) -> list[Finding]:
        """What of the events is listed."""
        return self._matcher.findings(frames)

    def run(self, stop: threading.Event) -> None:
        """Look for changes until told to stop."""
        while not stop.wait(_LOOK_S):
            try:
                self.refresh()
            except sa.exc.OperationalError as error:
                _log.warning("feeds cannot be looked at", reason=str(error.orig))

    def refresh(self) -> None:
        """Load the feeds that have changed, and forget those that are gone."""
        with reading(self._engine) as connection:
            feeds = {(feed.org, feed.name): feed for feed in all_feeds(connection) if not feed.warns and feed.version}
            changed = {key for key, feed in feeds.items() if key not in self._known or self._known[key][0] != feed}
            if not changed and feeds.keys() == self._known.keys():
                return
            self._known = {key: self._index(connection, feed) for key, feed in feeds.items()}
        # One assignment: a batch is judged by the old set or by the new one.
        self._matcher = Matcher(index for _, index in self._known.values())
        for feed, index in self._known.values():
            metrics.INDICATORS.labels(feed.name).set(len(index))
        _log.info("indicators loaded", feeds=len(self._known), indicators=len(self._matcher))

    def _index(self, connection: sa.Connection, feed: FeedRow) -> tuple[FeedRow, FeedIndex]:
        known = self._known.get((feed.org, feed.name))
        if known is None or known[0].version != feed.version:
            return feed, FeedIndex(feed.matched, rows_of_feed(connection, feed))
        # Read again without a change: only how old it is has changed.
        return feed, known[1].of_feed(feed.matched)
