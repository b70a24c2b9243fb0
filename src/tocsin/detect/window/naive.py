"""The reference: correlations of a set of matches, by looking at everything for every anchor. Slow, and plain."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import combinations
from math import ceil

from tocsin.detect.window.chain import Chaining
from tocsin.detect.window.match import Firing, GroupKey, Match, Slot, asks_rarity, in_order, slot_of
from tocsin.model.correlation import Correlation, CorrelationType, Every, Expression, Never, Seen, Some

__all__ = ["Told", "firings", "told"]

Told = dict[tuple[GroupKey, Slot], frozenset[str]]


def firings(correlations: Sequence[Correlation], matches: Iterable[Match]) -> Told:
    """Of each group and slot that fires, the ids of all events that contribute."""
    chaining = Chaining(correlations)
    groups: dict[GroupKey, set[Match]] = {}
    for match in matches:
        groups.setdefault(match.key, set()).add(match)
    found: Told = {}
    for correlation in chaining.inner_first:
        for key in [key for key in groups if key[1] == correlation.id]:
            for anchor, window in _firing(correlation, sorted(groups[key], key=in_order)):
                slot = slot_of(correlation, anchor)
                events = {uid for match in window for uid in _events(found, match, chaining)}
                found[key, slot] = found.get((key, slot), frozenset()) | events
                for outer in chaining.passed_on(correlation, anchor, slot):
                    groups.setdefault(outer.key, set()).add(outer)
    return found


def told(fired: Iterable[tuple[Firing, Iterable[str]]]) -> Told:
    """The same of what the incremental form has told, bit by bit: firings, and the ids of the events of each."""
    found: Told = {}
    for firing, uids in fired:
        key = firing.anchor.key, firing.slot
        found[key] = found.get(key, frozenset()) | set(uids)
    return found


def _events(found: Told, match: Match, chaining: Chaining) -> Iterable[str]:
    """The events behind a match: itself, or all that the alert of the inner correlation holds."""
    inner = [events for (key, slot), events in found.items() if chaining.uid(key, slot) == match.uid]
    return inner[0] if inner else [match.uid]


def _firing(correlation: Correlation, matches: list[Match]) -> Iterable[tuple[Match, list[Match]]]:
    for anchor in matches:
        window = [each for each in matches if anchor.time - correlation.timespan_ms <= each.time <= anchor.time]
        if _holds(correlation, anchor, window):
            yield anchor, [each for each in window if not asks_rarity(correlation) or each.value == anchor.value]


def _holds(correlation: Correlation, anchor: Match, window: list[Match]) -> bool:
    if correlation.expression is not None:
        members = [member.rule for member in correlation.members]
        if correlation.type is CorrelationType.TEMPORAL_ORDERED:
            return any(
                _ordered(window, subset) and _true(correlation.expression, frozenset(subset), _seen(window))
                for size in range(len(members) + 1)
                for subset in combinations(members, size)
            )
        return _true(correlation.expression, _seen(window), _seen(window))
    return all(bound.holds(_computed(correlation, anchor, window)) for bound in correlation.bounds)


def _seen(window: list[Match]) -> frozenset[str]:
    return frozenset(match.member for match in window)


def _true(expression: Expression, seen: frozenset[str], anywhere: frozenset[str]) -> bool:
    match expression:
        case Seen(rule):
            return rule in seen
        case Every(parts):
            return all(_true(part, seen, anywhere) for part in parts)
        case Some(parts):
            return any(_true(part, seen, anywhere) for part in parts)
        case Never(part):
            # What must not be must not be anywhere; what must be, within a denial, is denied of the chain alone.
            return not _true(part, anywhere, seen)


def _ordered(window: list[Match], members: Sequence[str]) -> bool:
    """Is there an event for each member, each later than the one before?"""
    after = (-1, "")
    for member in members:
        later = [(m.time, m.uid) for m in window if m.member == member and (m.time, m.uid) > after]
        if not later:
            return False
        after = min(later)
    return True


def _computed(correlation: Correlation, anchor: Match, window: list[Match]) -> float:
    match correlation.type:
        case CorrelationType.EVENT_COUNT:
            return len({match.uid for match in window})
        case CorrelationType.VALUE_COUNT:
            return len({match.value for match in window})
        case CorrelationType.TEMPORAL:
            return len(_seen(window))
        case CorrelationType.TEMPORAL_ORDERED:
            members = [member.rule for member in correlation.members]
            subsets = (s for size in range(len(members) + 1) for s in combinations(members, size))
            return max(len(subset) for subset in subsets if _ordered(window, subset))
    return _of_values(correlation, anchor.value[0], sorted(match.value[0] for match in window))


def _of_values(correlation: Correlation, own: str, texts: list[str]) -> float:
    if asks_rarity(correlation):
        return 100 * texts.count(own) / len(texts)
    match correlation.type:
        case CorrelationType.VALUE_SUM:
            return float(sum(map(Fraction, texts)))
        case CorrelationType.VALUE_AVG:
            return float(sum(map(Fraction, texts)) / len(texts))
        case CorrelationType.VALUE_MEDIAN:
            return statistics.median(map(float, texts))
        case _:
            rank = ceil((correlation.percentile or 0) * len(texts) / 100)
            return sorted(map(float, texts))[max(rank, 1) - 1]
