"""Retro-hunts: an expression, or many indicators at once, over everything that is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import msgspec

from tocsin.detect.history.report import Day, days_of
from tocsin.detect.history.scan import Period, Progress, map_pieces
from tocsin.detect.history.sieve import sift
from tocsin.detect.history.tally import Hit, Tally
from tocsin.intel.columns import WATCHED
from tocsin.intel.history import findings_in
from tocsin.intel.index import Feed, FeedIndex
from tocsin.intel.indicator import Indicator
from tocsin.intel.match import Matcher
from tocsin.intel.table import gather
from tocsin.model.condition import Condition
from tocsin.model.finding import Finding
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES
from tocsin.ports import Piece
from tocsin.wiring.stored.history import History, cheapest_search

__all__ = ["Hunted", "hunt_expression", "hunt_indicators"]

_TOP: Final = 10
_FEED: Final = "hunt"


class Hunted(msgspec.Struct, frozen=True):
    """What a hunt found."""

    judged: int  # events looked at
    hits: int
    days: list[Day]
    hosts: list[tuple[str, int]]  # the ten with most hits
    indicators: list[tuple[str, int]]  # the same of what was hunted for; empty for an expression
    newest: list[str]  # ids of the latest hits, latest first; at most a thousand


def hunt_expression(history: History, condition: Condition, period: Period, progress: Progress) -> Hunted:
    """The events of all classes for which the condition holds."""
    rule = Rule(_FEED, "", condition, tuple(CLASSES), group_by=())
    pieces = history.pieces(period)
    found = cheapest_search([rule], sift([rule], pieces), period, progress)
    return _hunted(found.tallies[rule.id], sum(map(len, pieces)), period, [])


def hunt_indicators(history: History, indicators: Iterable[Indicator], period: Period, progress: Progress) -> Hunted:
    """The events in which some indicator stands, wherever the detector looks for it; a million cost as much as one."""
    wanted = tuple(indicators)
    # What was given is to be found wherever it stands, whenever its feed held it to be valid.
    timeless = [msgspec.structs.replace(each, valid_from=0, valid_until=0) for each in wanted]
    pieces = history.pieces(period, [uid for uid, watched in WATCHED.items() if watched])
    tally = Tally()
    for _, found in map_pieces(partial(_look, period=period), _matcher, timeless, pieces, progress):
        tally.merge(found)
    return _hunted(tally, sum(map(len, pieces)), period, tally.values_of(0).most_common(_TOP))


def _matcher(indicators: Sequence[Indicator]) -> Matcher:
    # Private, since who hunts for an address of their own means it.
    return Matcher([FeedIndex(Feed("", _FEED, "medium", 0, private=True), gather(indicators, 0).rows)])


def _look(matcher: Matcher, piece: Piece, *, period: Period) -> Tally:
    found = list(findings_in(matcher, [piece], period.since, period.until))
    tally = Tally()
    tally.add(0, [_hit(finding) for finding in found])
    return tally


def _hit(finding: Finding) -> Hit:
    return Hit(finding.event_uid, finding.time, finding.hostname, (finding.group["indicator"],))


def _hunted(tally: Tally, judged: int, period: Period, indicators: list[tuple[str, int]]) -> Hunted:
    newest = list(dict.fromkeys(uid for _, uid in tally.newest))
    days = days_of(tally, period)
    return Hunted(judged, tally.hits, days, tally.hosts.most_common(_TOP), indicators, newest)
