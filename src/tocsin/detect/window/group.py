"""The matches of one group in their order, and what of them has been told."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from operator import attrgetter

from tocsin.detect.window.match import Match, Slot, in_order
from tocsin.detect.window.measure import Measure

__all__ = ["Group", "Span"]

Span = tuple[int, int]  # first and last ms, both inclusive

_time = attrgetter("time")


class Group:
    """One group of one correlation.

    told: of each slot the spans of time, apart and in order, in which every match has been told.
    """

    __slots__ = ("matches", "told")

    def __init__(self) -> None:
        self.matches: list[Match] = []
        self.told: dict[Slot, list[Span]] = {}

    def insert(self, match: Match) -> bool:
        """Put a match in its place; whether it was not there yet."""
        matches = self.matches
        if not matches or in_order(match) > in_order(matches[-1]):
            matches.append(match)
            return True
        place = bisect_left(matches, in_order(match), key=in_order)
        if place < len(matches) and in_order(matches[place]) == in_order(match):
            return False
        insort(matches, match, key=in_order)
        return True

    def between(self, span: Span) -> list[Match]:
        """The matches of that time."""
        return self.matches[self.place(span[0]) : bisect_right(self.matches, span[1], key=_time)]

    def place(self, time: int) -> int:
        """How many matches are earlier."""
        return bisect_left(self.matches, time, key=_time)

    def firing(self, since: int, until: float, timespan_ms: int, empty: Callable[[], Measure]) -> Iterator[Match]:
        """The anchors from `since` on and before `until` at which the correlation holds."""
        matches, first = self.matches, self.place(since)
        if first == len(matches):
            return
        low = high = self.place(matches[first].time - timespan_ms)
        measure = empty()
        while first < len(matches) and (time := matches[first].time) < until:
            while high < len(matches) and matches[high].time <= time:
                measure.add(matches[high])
                high += 1
            while matches[low].time < time - timespan_ms:
                measure.remove(matches[low])
                low += 1
            for anchor in matches[first:high]:
                if measure.holds(anchor, time - timespan_ms):
                    yield anchor
            first = high

    def tell(self, slot: Slot, span: Span) -> list[Span]:
        """Note that a span of time is told; gives the parts that were not."""
        told = self.told.get(slot, [])
        if told and told[-1][0] <= span[0] and span[1] <= told[-1][1]:
            return []
        self.told[slot] = _joined([*told, span])
        return _gaps(told, span)

    def telling(self, match: Match) -> Iterator[Slot]:
        """The slots in which whatever happened at the match's time is told."""
        for slot, spans in self.told.items():
            if any(first <= match.time <= last for first, last in spans):
                yield slot

    def forget(self, before: int) -> int:
        """Let go of matches before that time; gives how many."""
        gone = self.place(before)
        del self.matches[:gone]
        return gone


def _gaps(told: list[Span], span: Span) -> list[Span]:
    """The parts of a span that lie in none of the others, which are apart and in order."""
    gaps, start = [], span[0]
    for first, last in told:
        if first > span[1]:
            break
        if first > start:
            gaps.append((start, first - 1))
        start = max(start, last + 1)
    if start <= span[1]:
        gaps.append((start, span[1]))
    return gaps


def _joined(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined
