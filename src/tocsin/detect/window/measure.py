"""What a correlation computes of the matches in a time span, kept while the span slides over a group's matches."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from math import ceil
from typing import Final, Protocol

from tocsin.detect.window.match import Match, asks_rarity
from tocsin.detect.window.order import Chain, Chains, clauses
from tocsin.model.correlation import Comparison, Correlation, CorrelationType, Every, Expression, Never, Seen, Some

__all__ = ["Measure", "measure", "only_grows"]

_GROWING: Final = frozenset(
    {
        CorrelationType.EVENT_COUNT,
        CorrelationType.VALUE_COUNT,
        CorrelationType.TEMPORAL,
        CorrelationType.TEMPORAL_ORDERED,
    }
)
_LOWER_BOUNDS: Final = frozenset({Comparison.AT_LEAST, Comparison.GREATER})


class Measure(Protocol):
    """The matches in a span of time: they come and go in the order of `in_order`, the oldest first."""

    def add(self, match: Match) -> None:
        """One more match, later than all others."""
        ...

    def remove(self, match: Match) -> None:
        """The oldest match leaves the span."""
        ...

    def holds(self, anchor: Match, since: int) -> bool:
        """Do the matches from that time on, up to the anchor's, satisfy the correlation?"""
        ...


def only_grows(correlation: Correlation) -> bool:
    """Can more matches only make it hold, never keep it from holding? Then there is nothing to wait for."""
    if correlation.expression is not None:
        return not _denies(correlation.expression)
    return correlation.type in _GROWING and all(bound.comparison in _LOWER_BOUNDS for bound in correlation.bounds)


def _denies(expression: Expression) -> bool:
    match expression:
        case Never():
            return True
        case Every(parts) | Some(parts):
            return any(map(_denies, parts))
        case Seen():
            return False


def measure(correlation: Correlation) -> Callable[[], Measure]:
    """How an empty span of that correlation is made."""
    members = [member.rule for member in correlation.members]
    made: Callable[[], Measure]
    match correlation.type:
        case CorrelationType.EVENT_COUNT:
            made = partial(_Distinct, correlation, lambda match: match.uid)
        case CorrelationType.VALUE_COUNT:
            made = partial(_Distinct, correlation, lambda match: match.value)
        case CorrelationType.TEMPORAL if correlation.expression is not None:
            made = partial(_Expressed, correlation.expression)
        case CorrelationType.TEMPORAL:
            made = partial(_Distinct, correlation, lambda match: match.member)
        case CorrelationType.TEMPORAL_ORDERED if correlation.expression is not None:
            made = partial(_Ordered, clauses(correlation.expression, members))
        case CorrelationType.TEMPORAL_ORDERED:
            made = partial(_InOrder, correlation)
        case CorrelationType.VALUE_SUM | CorrelationType.VALUE_AVG:
            made = partial(_Summed, correlation)
        case _ if asks_rarity(correlation):
            made = partial(_Rare, correlation)
        case _:
            made = partial(_Ranked, correlation)
    return made


def _within(correlation: Correlation, computed: float) -> bool:
    return all(bound.holds(computed) for bound in correlation.bounds)


class _Distinct:
    """How many distinct ones there are, of whatever is counted."""

    def __init__(self, correlation: Correlation, counted: Callable[[Match], object]) -> None:
        self._correlation, self._counted = correlation, counted
        self._counts: Counter[object] = Counter()

    def add(self, match: Match) -> None:
        self._counts[self._counted(match)] += 1

    def remove(self, match: Match) -> None:
        counted = self._counted(match)
        self._counts[counted] -= 1
        if not self._counts[counted]:
            del self._counts[counted]

    def holds(self, _anchor: Match, _since: int) -> bool:
        return _within(self._correlation, len(self._counts))


class _Expressed:
    """Which members there are."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression
        self._members: Counter[str] = Counter()

    def add(self, match: Match) -> None:
        self._members[match.member] += 1

    def remove(self, match: Match) -> None:
        self._members[match.member] -= 1

    def holds(self, _anchor: Match, _since: int) -> bool:
        return _true(self._expression, self._members)


def _true(expression: Expression, members: Counter[str]) -> bool:
    match expression:
        case Seen(rule):
            return members[rule] > 0
        case Every(parts):
            return all(_true(part, members) for part in parts)
        case Some(parts):
            return any(_true(part, members) for part in parts)
        case Never(part):
            return not _true(part, members)


class _InOrder:
    """How many members there are one after another."""

    def __init__(self, correlation: Correlation) -> None:
        self._correlation = correlation
        self._chains = Chains([member.rule for member in correlation.members])

    def add(self, match: Match) -> None:
        self._chains.add(match)

    def remove(self, match: Match) -> None:
        """Chains know when they began."""

    def holds(self, _anchor: Match, since: int) -> bool:
        return _within(self._correlation, self._chains.longest(since))


class _Ordered:
    """Whether the members that an expression asks for came one after another."""

    def __init__(self, wanted: list[tuple[tuple[str, ...], frozenset[str]]]) -> None:
        self._chains = [(Chain(order), denied) for order, denied in wanted]
        self._members: Counter[str] = Counter()

    def add(self, match: Match) -> None:
        self._members[match.member] += 1
        for chain, _ in self._chains:
            chain.add(match)

    def remove(self, match: Match) -> None:
        self._members[match.member] -= 1

    def holds(self, _anchor: Match, since: int) -> bool:
        return any(
            chain.complete(since) and not any(self._members[member] for member in denied)
            for chain, denied in self._chains
        )


class _Summed:
    """The sum of the values, or their mean; exact, so that the order of adding does not matter."""

    def __init__(self, correlation: Correlation) -> None:
        self._correlation = correlation
        self._mean = correlation.type is CorrelationType.VALUE_AVG
        self._sum, self._count = Fraction(0), 0

    def add(self, match: Match) -> None:
        self._sum += Fraction(match.value[0])
        self._count += 1

    def remove(self, match: Match) -> None:
        self._sum -= Fraction(match.value[0])
        self._count -= 1

    def holds(self, _anchor: Match, _since: int) -> bool:
        return _within(self._correlation, float(self._sum / self._count if self._mean else self._sum))


class _Ranked:
    """The values in their order, for median and percentile."""

    def __init__(self, correlation: Correlation) -> None:
        self._correlation = correlation
        self._values: list[float] = []

    def add(self, match: Match) -> None:
        insort(self._values, float(match.value[0]))

    def remove(self, match: Match) -> None:
        del self._values[bisect_left(self._values, float(match.value[0]))]

    def holds(self, _anchor: Match, _since: int) -> bool:
        return _within(self._correlation, self._computed())

    def _computed(self) -> float:
        values, percentile = self._values, self._correlation.percentile
        if percentile is None:
            middle = len(values) // 2
            return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
        return values[max(ceil(percentile * len(values) / 100), 1) - 1]


class _Rare:
    """How often each value occurs."""

    def __init__(self, correlation: Correlation) -> None:
        self._correlation = correlation
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._total = 0

    def add(self, match: Match) -> None:
        self._counts[match.value] += 1
        self._total += 1

    def remove(self, match: Match) -> None:
        self._counts[match.value] -= 1
        self._total -= 1
        if not self._counts[match.value]:
            del self._counts[match.value]

    def holds(self, anchor: Match, _since: int) -> bool:
        return _within(self._correlation, 100 * self._counts[anchor.value] / self._total)
