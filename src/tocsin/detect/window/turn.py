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
        for match in matches:
            self._send(match)

    def _send(self, match: Match) -> None:
        self._pending.setdefault(match.correlation, {}).setdefault(match.key, []).append(match)

    def run(self, kind: Kind, watermarks: Mapping[str, int]) -> None:
        """One correlation's part; whoever is inside it has had its own."""
        self._tell_news(kind)
        for key, matches in self._pending.pop(kind.correlation.id, {}).items():
            inserted = [match for match in matches if self._groups.insert(match)]
            if not inserted:
                continue
            self.grown[key] = None
            self.chained += [match for match in inserted if self._groups.stands_for(match.uid)]
            # What comes into spans that are told already is told at once.
            for match in inserted:
                for slot in list(self._groups.group(key).telling(match)):
                    self._report(kind, match, slot, [match])
            since = min(match.time for match in inserted)
            if kind.grows:
                self._fire(kind, key, since, _ALWAYS)
            else:
                self._groups.wait(key, since)
        if not kind.grows:
            for key, since, until in self._groups.settling(kind.correlation, watermarks):
                self._fire(kind, key, since, until)

    def _tell_news(self, kind: Kind) -> None:
        """Inner firings that were told here before have more to tell."""
        for uid, events in list(self._news.items()):
            for (key, slot), match in list(self._groups.told_in.get(uid, {}).items()):
                if key[1] == kind.correlation.id:
                    self._say(kind, match, slot, events)

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
        self._say(kind, anchor, slot, [event for match in matches for event in self._events(slot, match)])

    def _say(self, kind: Kind, anchor: Match, slot: Slot, events: list[Match]) -> None:
        if events:
            self.firings.append(Firing(kind.correlation, anchor.org, anchor.group, slot, anchor, tuple(events)))
            self._news.setdefault(self._groups.chaining.uid(anchor.key, slot), []).extend(events)

    def _events(self, slot: Slot, match: Match) -> Iterator[Match]:
        """What a match adds to what is told: its event, or of inner firings that are new here all their events."""
        inner = self._groups.stands_for(match.uid)
        if inner is None:
            yield match
            return
        told_in = self._groups.told_in.setdefault(match.uid, {})
        if (match.key, slot) not in told_in:
            told_in[match.key, slot] = match
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
