"""Threat intelligence at work: the detector's copy of what is listed; fetching; searching history for what is new."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog

from tocsin import metrics
from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.alert.record import record
from tocsin.alert.silence import Silence
from tocsin.config import Settings
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.history.scan import Period
from tocsin.intel.feeds import all_feeds, claim_due, one, rows_of_feed
from tocsin.intel.fetch import feed_client
from tocsin.intel.history import findings_in, new_rows
from tocsin.intel.hunts import Hunt, advance, claim_hunt, hunts_of, postpone
from tocsin.intel.index import FeedIndex
from tocsin.intel.match import Matcher
from tocsin.intel.update import update
from tocsin.model.errors import NotFound, TryLater
from tocsin.model.event import flatten
from tocsin.ports import Clock, EventLog, Piece
from tocsin.state.engine import reading
from tocsin.state.life.suppressions import listed as suppressions
from tocsin.state.tables import EVERY_ORG, org
from tocsin.wiring.processes.part import Part
from tocsin.wiring.stored.history import History

__all__ = ["Hunter", "intel_parts"]

_log = structlog.get_logger(__name__)
_LOOK_S: Final = 0.5
_IDLE_S: Final = 1.0
_DAY_MS: Final = 86_400_000
_MOST_FINDINGS: Final = 10_000
_AGAIN_MS: Final = 60_000


class Hunter:
    """Searches what is kept for indicators that have just arrived, newest days first, and raises alerts."""

    def __init__(self, engine: sa.Engine, query: DuckdbQuery, clock: Clock) -> None:
        self._engine, self._query, self._clock = engine, query, clock

    def search(self, hunt: Hunt, stop: threading.Event) -> Iterator[Hunt]:
        """Go on with a search, a day at a time, each kept together with its alerts; gives how far it has come."""
        matcher, orgs, silence = self._prepare(hunt)
        while not hunt.done and not stop.is_set():
            since = max(hunt.since, (hunt.searched_to - 1) // _DAY_MS * _DAY_MS)
            pieces = chain.from_iterable(self._pieces(name, since, hunt.searched_to) for name in orgs)
            found = list(islice(findings_in(matcher, pieces, since, hunt.searched_to), _MOST_FINDINGS))
            hunt = _after(hunt, since, len(found))
            told = silence.hide(found, {finding.event_uid: flatten(finding.event) for finding in found})
            with self._engine.begin() as connection:
                record(connection, told, self._clock.now_ms())
                advance(connection, hunt, self._clock.now_ms())
            yield hunt

    def _prepare(self, hunt: Hunt) -> tuple[Matcher, list[str], Silence]:
        with reading(self._engine) as connection:
            feed = one(connection, hunt.org, hunt.feed)
            rows = new_rows(rows_of_feed(connection, feed), hunt.first_seen_at)
            silence = Silence(suppressions(connection), holds)
            orgs = list(connection.scalars(sa.select(org.c.id))) if hunt.org == EVERY_ORG else [hunt.org]
        return Matcher([FeedIndex(feed.matched, rows)]), orgs, silence

    def _pieces(self, name: str, since: int, until: int) -> list[Piece]:
        return History(self._query, name).pieces(Period(since, until))


def _after(hunt: Hunt, since: int, found: int) -> Hunt:
    found += hunt.found
    done, error = since <= hunt.since, None
    if not done and found >= _MOST_FINDINGS:
        done, error = True, f"stopped after {found:,} events: the indicators are too common to go on"
    return msgspec.structs.replace(hunt, searched_to=since, found=found, done=done, error=error)


def intel_parts(settings: Settings, engine: sa.Engine, log: EventLog, clock: Clock) -> list[Part]:
    """The thread that fetches what is due, and the one that searches history."""
    hunt_ms = settings.intel_hunt_days * _DAY_MS
    return [
        Part("feeds", lambda stop: _until_stopped(stop, lambda: _fetch_next(engine, clock, hunt_ms))),
        Part("hunts", lambda stop: _until_stopped(stop, lambda: _hunt_next(engine, log, clock, stop))),
    ]


def _until_stopped(stop: threading.Event, work: Callable[[], bool]) -> None:
    """Work as long as there is some, look again every second."""
    while not stop.is_set():
        try:
            if not work():
                stop.wait(_IDLE_S)
        except sa.exc.OperationalError as error:
            _log.warning("the state cannot be used", reason=str(error.orig))
            stop.wait(_IDLE_S)


def _fetch_next(engine: sa.Engine, clock: Clock, hunt_ms: int) -> bool:
    with reading(engine) as connection:
        if not any(feed.every_ms and feed.next_at <= clock.now_ms() for feed in all_feeds(connection)):
            return False
    with engine.begin() as connection:
        feed = claim_due(connection, clock.now_ms())
    if feed is None:
        return False
    with feed_client() as client:
        outcome = update(engine, feed, client, clock.now_ms(), hunt_ms)
    metrics.FEED_FETCHES.labels("failed" if outcome.error else "changed" if outcome.changed else "unchanged").inc()
    if outcome.error:
        _log.warning("feed not read; what it listed stays", feed=feed.name, reason=outcome.error)
    return True


def _hunt_next(engine: sa.Engine, log: EventLog, clock: Clock, stop: threading.Event) -> bool:
    # A look takes no lock; a claim does.
    with reading(engine) as connection:
        if not any(not hunt.done and hunt.next_at <= clock.now_ms() for hunt in hunts_of(connection)):
            return False
    with engine.begin() as connection:
        hunt = claim_hunt(connection, clock.now_ms())
    if hunt is None:
        return False
    query = DuckdbQuery(log, state=engine, catalog=engine)
    try:
        for reached in Hunter(engine, query, clock).search(hunt, stop):
            hunt = reached
        if not hunt.done:
            _give_back(engine, hunt, None, clock.now_ms())
        _log.info("history searched", feed=hunt.feed, found=hunt.found, done=hunt.done)
    except NotFound:
        _log.info("feed removed while history was searched for it", feed=hunt.feed)
    except TryLater as error:
        _log.warning("history cannot be searched now", feed=hunt.feed, reason=str(error))
        _give_back(engine, hunt, str(error), clock.now_ms() + _AGAIN_MS)
    finally:
        query.close()
    return True


def _give_back(engine: sa.Engine, hunt: Hunt, reason: str | None, next_at: int) -> None:
    with engine.begin() as connection:
        postpone(connection, hunt, reason, next_at)
