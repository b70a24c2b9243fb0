"""One step over all correlations, inner ones first: what they have new to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tocsin.detect.window.group import Group, Span
from tocsin.detect.window.groups import Groups, Kind
from tocsin.detect.window.match import Firing, GroupKey, Match, Slot, asks_rarity, slot_of

__all__ = ["Turn"]

_ALWAYS: Final = float("inf")


class Turn:
    """Carries matches through the correlations, and gathers what they tell."""

    def __init__(self, groups: Groups, matches: Iterable[Match]) -> None:
        self.firings: list[Firing] = []
        self.chained: list[Match] = []
        self.told: dict[tuple[GroupKey, Slot], list[Span]] = {}
        self.grown: dict[GroupKey, None] = {}
        self._groups = groups
        self._pending: dict[str, dict[GroupKey, list[Match]]] = {}
        # Of inner firings, by the uid that they have outside: the events that this step has told.
        self._news: dict[str, list[Match]] = {}
        self._passed: set[tuple[GroupKey, Slot, str]] = set()
        for match in matches:
            self._send(match)

    def _send(self, match: Match) -> None:
        self._pending.setdefault(match.correlation, {}).setdefault(match.key, []).append(match)

    def run(self, kind: Kind, watermarks: Mapping[str, int]) -> None:
        """One correlation's part; whoever is inside it has had its own."""
        for key, matches in self._pending.pop(kind.correlation.id, {}).items():
            inserted = [match for match in matches if self._groups.insert(match)]
            self._tell_at_once(kind, key, matches, inserted)
            if not inserted:
                continue
            self.grown[key] = None
            self.chained += [match for match in inserted if self._groups.stands_for(match.uid)]
            since = min(match.time for match in inserted)
            if kind.grows:
                self._fire(kind, key, since, _ALWAYS)
            else:
                self._groups.wait(key, since)
        if not kind.grows:
            for key, since, until in self._groups.settling(kind.correlation, watermarks):
                self._fire(kind, key, since, until)

    def _tell_at_once(self, kind: Kind, key: GroupKey, matches: list[Match], inserted: list[Match]) -> None:
        """Tell what came into spans that are told already: new matches, and inner firings that have more to tell."""
        group = self._groups.group(key)
        if group.told:
            again = [match for match in matches if match.uid in self._news]
            for match in dict.fromkeys([*inserted, *again]):
                for slot in group.telling(match):
                    self._report(kind, match, slot, [match])

    def _fire(self, kind: Kind, key: GroupKey, since: int, until: float) -> None:
        correlation, group = kind.correlation, self._groups.group(key)
        for anchor in group.firing(since, until, correlation.timespan_ms, kind.empty):
            slot = slot_of(correlation, anchor)
            gaps = group.tell(slot, (anchor.time - correlation.timespan_ms, anchor.time))
            if gaps:
                self.told[key, slot] = group.told[slot]
                self._report(kind, anchor, slot, list(_contributing(kind, group, slot, gaps)))
            for match in self._groups.pass_on(kind, anchor, slot):
                self._send(match)

    def _report(self, kind: Kind, anchor: Match, slot: Slot, matches: list[Match]) -> None:
        key = anchor.key
        events = [event for match in matches for event in self._events(key, slot, match)]
        if events:
            self.firings.append(Firing(kind.correlation, anchor.org, anchor.group, slot, anchor, tuple(events)))
            self._news.setdefault(self._groups.chaining.uid(key, slot), []).extend(events)

    def _events(self, key: GroupKey, slot: Slot, match: Match) -> Iterator[Match]:
        """What a match adds to what is told: its event, or of inner firings the events that are not told yet."""
        inner = self._groups.stands_for(match.uid)
        if inner is None:
            yield match
            return
        if (key, slot, match.uid) in self._passed:
            return
        self._passed.add((key, slot, match.uid))
        known = self._groups.group(key).uids.setdefault(slot, set())
        if match.uid in known:
            yield from self._news.get(match.uid, ())
        else:
            known.add(match.uid)
            yield from self._all_events(*inner)

    def _all_events(self, key: GroupKey, slot: Slot) -> Iterator[Match]:
        group = self._groups.group(key)
        for match in _contributing(self._groups.kind(key), group, slot, group.told.get(slot, [])):
            inner = self._groups.stands_for(match.uid)
            if inner is None:
                yield match
            else:
                yield from self._all_events(*inner)


def _contributing(kind: Kind, group: Group, slot: Slot, spans: Iterable[Span]) -> Iterator[Match]:
    matches = (match for span in spans for match in group.between(span))
    if not asks_rarity(kind.correlation):
        return matches
    own = slot[1][len(kind.correlation.alert_by) :]
    return (match for match in matches if match.value == own)
