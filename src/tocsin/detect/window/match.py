"""What correlations look at and what they give: matches of members, and firings."""

from __future__ import annotations

import msgspec

from tocsin.conditions.literal import number
from tocsin.model.correlation import Correlation, CorrelationType
from tocsin.model.finding import window_start

__all__ = ["NUMERIC", "Firing", "GroupKey", "Match", "Slot", "asks_rarity", "counts", "in_order", "slot_of"]

NUMERIC = frozenset({CorrelationType.VALUE_SUM, CorrelationType.VALUE_AVG, CorrelationType.VALUE_MEDIAN})

GroupKey = tuple[str, str, tuple[str, ...]]  # org, correlation's id, values of its group-by
# Which alert of a group: where its window starts, and the values that alerts are told apart by.
Slot = tuple[int, tuple[str, ...]]


class Match(msgspec.Struct, frozen=True, gc=False):
    """A member of a correlation has matched: a rule an event, or an inner correlation a group.

    The uid is the event's, or names the inner correlation's alert: its every anchor is a match, of one uid.
    """

    time: int  # ms
    uid: str
    org: str
    correlation: str  # the id of the correlation that looks at it
    member: str  # the id of what matched
    group: tuple[str, ...]
    value: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    row: int = 0  # where the state keeps it, and its event; 0 outside of it

    @property
    def key(self) -> GroupKey:
        """The group that it belongs to."""
        return self.org, self.correlation, self.group


class Firing(msgspec.Struct, frozen=True):
    """Matches of one group satisfy a correlation; several firings of one slot are one alert."""

    correlation: Correlation
    org: str
    group: tuple[str, ...]
    slot: Slot
    anchor: Match  # the latest match that it needed
    matches: tuple[Match, ...]  # of events; each is told once per slot


def in_order(match: Match) -> tuple[int, str, str, tuple[str, ...], tuple[str, ...]]:
    """The order of a group's matches; event ids sort by time, and within a batch as its rows."""
    return match.time, match.uid, match.member, match.value, match.carried


def slot_of(correlation: Correlation, anchor: Match) -> Slot:
    """The alert that a firing at this anchor belongs to."""
    known = dict(zip(correlation.carried, anchor.carried, strict=True))
    known |= dict(zip(correlation.group_by, anchor.group, strict=True))
    values = tuple(known.get(name, "") for name in correlation.alert_by)
    start = window_start(anchor.time, correlation.window_ms or correlation.timespan_ms)
    return start, values + anchor.value if asks_rarity(correlation) else values


def asks_rarity(correlation: Correlation) -> bool:
    """Does it ask how rare the anchor's own value is?"""
    return correlation.type is CorrelationType.VALUE_PERCENTILE and correlation.percentile is None


def counts(correlation: Correlation, value: tuple[str, ...]) -> bool:
    """Is a match with this value one for the correlation? Without a value that it could count or compute with, no."""
    if not all(value):
        return False
    numeric = correlation.type in NUMERIC or correlation.percentile is not None
    return not numeric or number(value[0]) is not None
