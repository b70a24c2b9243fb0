"""The groups of all correlations: what they hold, what waits, and what has to go."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from tocsin.detect.window.chain import Chaining
from tocsin.detect.window.group import Group, Span
from tocsin.detect.window.match import GroupKey, Match, Slot
from tocsin.detect.window.measure import Measure, measure, only_grows
from tocsin.model.correlation import Correlation

__all__ = ["Evicted", "Groups", "Kind", "Limits"]

_ROOM: Final = 0.9  # what is left of the limit when groups had to give theirs


@dataclass(frozen=True, slots=True)
class Limits:
    """How many matches are held; beyond that the oldest go first."""

    of_group: int = 10_000
    of_all: int = 500_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A correlation, and what follows from it."""

    correlation: Correlation
    empty: Callable[[], Measure]  # a span of time without matches
    grows: bool  # more matches can only confirm it
    kept_ms: int  # how long its matches are needed
    most: int  # how many of them a group may hold


@dataclass(frozen=True, slots=True)
class Evicted:
    """Matches of one group that had to go before their time, because of a limit."""

    key: GroupKey
    before: int  # all earlier ones went
    matches: int
    limit: str  # group or total


class Groups:
    """Every group that holds something."""

    def __init__(self, correlations: Sequence[Correlation], limits: Limits) -> None:
        self._limits = limits
        self.chaining = Chaining(correlations)
        self.kinds = {each.id: self._kind(each) for each in self.chaining.inner_first}
        self._groups: dict[GroupKey, Group] = {}
        self._held = 0
        # Of each org and correlation that waits: groups, by the earliest anchor that is not settled.
        self._waiting: dict[tuple[str, str], list[tuple[int, GroupKey]]] = {}
        self._alerts: dict[str, tuple[GroupKey, Slot]] = {}  # what the uids of chained matches stand for
        # Where inner firings, by their uid, were told: whatever more they have to tell belongs there too.
        self.told_in: dict[str, dict[tuple[GroupKey, Slot], Match]] = {}

    def _kind(self, correlation: Correlation) -> Kind:
        wanted = max((ceil(bound.limit) + 1 for bound in correlation.bounds), default=0)
        most = max(self._limits.of_group, wanted)
        kept_ms = self.chaining.kept_ms(correlation)
        return Kind(correlation, measure(correlation), only_grows(correlation), kept_ms, most)

    @property
    def held(self) -> tuple[int, int]:
        """How many groups and matches there are."""
        return len(self._groups), self._held

    def kind(self, key: GroupKey) -> Kind:
        """The correlation of a group."""
        return self.kinds[key[1]]

    def group(self, key: GroupKey) -> Group:
        """The group of that key, empty at first."""
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = Group()
        return found

    def insert(self, match: Match) -> bool:
        """Put a match into its group; whether it was not there yet."""
        new = self.group(match.key).insert(match)
        self._held += new
        return new

    def stands_for(self, uid: str) -> tuple[GroupKey, Slot] | None:
        """The inner firings that a match is, if it is no event."""
        return self._alerts.get(uid)

    def pass_on(self, kind: Kind, anchor: Match, slot: Slot) -> list[Match]:
        """What an anchor is to outer correlations."""
        passed = list(self.chaining.passed_on(kind.correlation, anchor, slot))
        for match in passed:
            self._alerts[match.uid] = anchor.key, slot
        return passed

    def wait(self, key: GroupKey, since: int) -> None:
        """Settle the group's anchors from that time on when the watermark has passed them."""
        matches = self.group(key).matches
        place = self.group(key).place(since)
        if place < len(matches):
            heapq.heappush(self._waiting.setdefault(key[:2], []), (matches[place].time, key))

    def settling(self, correlation: Correlation, watermarks: Mapping[str, int]) -> Iterator[tuple[GroupKey, int, int]]:
        """Groups whose anchors the watermark has passed: from when on they are to be settled, and up to where."""
        for org, watermark in watermarks.items():
            waiting = self._waiting.get((org, correlation.id), [])
            while waiting and waiting[0][0] < watermark:
                since, key = heapq.heappop(waiting)
                yield key, since, watermark
                self.wait(key, watermark)

    def forget(self, before: Mapping[str, int]) -> dict[tuple[str, str], int]:
        """Let go of what no anchor can need any more, when there will be none before these times of each org.

        Gives of each org and correlation the time before which it let go.
        """
        horizons: dict[tuple[str, str], int] = {}
        for key, group in list(self._groups.items()):
            if key[0] in before:
                horizon = before[key[0]] - self.kind(key).kept_ms
                horizons[key[:2]] = horizon
                self._held -= group.forget(horizon)
                self._forget_told(key, group, horizon)
                if not group.matches and not group.told:
                    del self._groups[key]
        for places in self.told_in.values():
            for place in [place for place in places if place[1] not in self.group(place[0]).told]:
                del places[place]
        return horizons

    def _forget_told(self, key: GroupKey, group: Group, horizon: int) -> None:
        for slot, spans in list(group.told.items()):
            if spans[-1][1] < horizon:
                del group.told[slot]
                uid = self.chaining.uid(key, slot)
                self._alerts.pop(uid, None)
                self.told_in.pop(uid, None)

    def make_room(self, grown: Iterable[GroupKey]) -> list[Evicted]:
        """Keep to the limits, where these groups have grown; gives what had to go."""
        evicted = []
        for key in grown:
            matches, most = self.group(key).matches, self.kind(key).most
            if len(matches) > most:
                before = matches[-most].time
                evicted.append(self._evict(key, before + (before == matches[0].time), "group"))
        if self._held > self._limits.of_all:
            by_age = sorted((group.matches[-1].time, key) for key, group in self._groups.items() if group.matches)
            for newest, key in by_age:
                if self._held <= _ROOM * self._limits.of_all:
                    break
                evicted.append(self._evict(key, newest + 1, "total"))
        return evicted

    def _evict(self, key: GroupKey, before: int, limit: str) -> Evicted:
        gone = self.group(key).forget(before)
        self._held -= gone
        return Evicted(key, before, gone, limit)

    def restore_told(self, key: GroupKey, slot: Slot, spans: Sequence[Span]) -> None:
        """Note what was told before."""
        self.group(key).told[slot] = list(spans)
        self._alerts[self.chaining.uid(key, slot)] = key, slot

    def restored(self, watermarks: Mapping[str, int]) -> None:
        """Matches and what was told are as before; now what waits, and which inner firings were told."""
        for key, group in self._groups.items():
            if not self.kind(key).grows:
                self.wait(key, watermarks.get(key[0], -1))
            for slot, spans in group.told.items():
                for match in (match for span in spans for match in group.between(span)):
                    if match.uid in self._alerts:
                        self.told_in.setdefault(match.uid, {})[key, slot] = match
