"""Correlations of correlations: what fires is a match for whoever names it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter

from tocsin.detect.window.match import GroupKey, Match, Slot, counts
from tocsin.model.correlation import Correlation, Lookup, Member

__all__ = ["Chaining"]


class Chaining:
    """Which correlations look at which."""

    def __init__(self, correlations: Sequence[Correlation]) -> None:
        self._known = {each.id: each for each in correlations}
        inner = {each.id: [m.rule for m in each.members if m.rule in self._known] for each in correlations}
        self.inner_first = tuple(self._known[name] for name in TopologicalSorter(inner).static_order())
        self._outer: dict[str, list[tuple[Correlation, Member]]] = {}
        for each in correlations:
            for member in each.members:
                if member.rule in self._known:
                    self._outer.setdefault(member.rule, []).append((each, member))

    def is_inner(self, correlation: Correlation) -> bool:
        """Does another one look at it?"""
        return correlation.id in self._outer

    def kept_ms(self, correlation: Correlation) -> int:
        """How long its matches are needed.

        That is its time span; inside of others, its whole alert as long as theirs; around others, until these have
        nothing more to tell of what was told.
        """
        around = [self.kept_ms(outer) for outer, _ in self._outer.get(correlation.id, ())]
        inside = _alert_ms(correlation) + max(around) if around else 0
        return correlation.timespan_ms + inside + self._growing_ms(correlation)

    def _growing_ms(self, correlation: Correlation) -> int:
        """How long the alerts of inner correlations go on growing."""
        inner = (self._known[member.rule] for member in correlation.members if member.rule in self._known)
        return max((_alert_ms(each) + self._growing_ms(each) for each in inner), default=0)

    def passed_on(self, correlation: Correlation, anchor: Match, slot: Slot) -> Iterator[Match]:
        """What an anchor is to the correlations that look at this one: a match of its own."""
        known = dict(zip(correlation.carried, anchor.carried, strict=True))
        known |= dict(zip(correlation.group_by, anchor.group, strict=True))
        for outer, member in self._outer.get(correlation.id, ()):
            value = tuple(_of(known, lookup) for lookup in member.value)
            if counts(outer, value):
                yield Match(
                    time=anchor.time,
                    uid=self.uid(anchor.key, slot),
                    org=anchor.org,
                    correlation=outer.id,
                    member=correlation.id,
                    group=tuple(_of(known, lookup) for lookup in member.group_by),
                    value=value,
                    carried=tuple(_of(known, lookup) for lookup in member.carried),
                )

    @staticmethod
    def uid(key: GroupKey, slot: Slot) -> str:
        """The id of all matches that the firings of one slot are."""
        org, correlation, group = key
        text = "\0".join((org, correlation, *group, "", str(slot[0]), *slot[1]))
        return f"firing:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _alert_ms(correlation: Correlation) -> int:
    return correlation.window_ms or correlation.timespan_ms


def _of(known: dict[str, str], lookup: Lookup) -> str:
    return known.get(lookup, "") if isinstance(lookup, str) else ""
