"""What a correlation asks for, in words."""

from __future__ import annotations

from typing import Final

from tocsin.model.correlation import Bound, Comparison, Correlation, CorrelationType

__all__ = ["asked", "duration"]

_COMPARED: Final = {
    Comparison.LESS: "fewer than",
    Comparison.AT_MOST: "at most",
    Comparison.GREATER: "more than",
    Comparison.AT_LEAST: "at least",
    Comparison.EQUAL: "exactly",
    Comparison.NOT_EQUAL: "not",
}
_SIGNS: Final = {
    Comparison.LESS: "<",
    Comparison.AT_MOST: "\u2264",
    Comparison.GREATER: ">",
    Comparison.AT_LEAST: "\u2265",
    Comparison.EQUAL: "=",
    Comparison.NOT_EQUAL: "\u2260",
}
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))


def asked(correlation: Correlation) -> str:
    """The condition, as a person would say it: at least 5 events in 10m."""
    return f"{_what(correlation)} in {duration(correlation.timespan_ms)}"


def duration(ms: int) -> str:
    """A span of time as rules write it: 90s, 10m, 24h."""
    return next((f"{ms // size}{unit}" for unit, size in _UNITS if ms % size == 0 and ms >= size), f"{ms / 1000:g}s")


def _what(correlation: Correlation) -> str:
    names = ", ".join(correlation.value)
    match correlation.type:
        case CorrelationType.EVENT_COUNT:
            return f"{_counted(correlation)} events"
        case CorrelationType.VALUE_COUNT:
            return f"{_counted(correlation)} values of {names}"
        case CorrelationType.TEMPORAL | CorrelationType.TEMPORAL_ORDERED:
            return _members(correlation)
        case CorrelationType.VALUE_PERCENTILE if correlation.percentile is None:
            return f"a value of {names} that is {_signs(correlation.bounds)} % of all"
        case CorrelationType.VALUE_PERCENTILE:
            return f"percentile {correlation.percentile:g} of {names} {_signs(correlation.bounds)}"
        case _:
            return f"{correlation.type.value.removeprefix('value_')} of {names} {_signs(correlation.bounds)}"


def _members(correlation: Correlation) -> str:
    order = ", in order" if correlation.type is CorrelationType.TEMPORAL_ORDERED else ""
    if correlation.expression is not None:
        return f"the condition over rules{order}"
    every = (Bound(Comparison.AT_LEAST, len(correlation.members)),)
    return f"{'all' if correlation.bounds == every else _counted(correlation)} rules{order}"


def _counted(correlation: Correlation) -> str:
    return " and ".join(f"{_COMPARED[bound.comparison]} {bound.limit:g}" for bound in correlation.bounds)


def _signs(bounds: tuple[Bound, ...]) -> str:
    return " and ".join(f"{_SIGNS[bound.comparison]} {bound.limit:g}" for bound in bounds)
