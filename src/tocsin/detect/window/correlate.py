"""Correlations of a whole set of matches at once, as a backtest wants them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsin.detect.window.groups import Limits
from tocsin.detect.window.match import Firing, Match, in_order
from tocsin.detect.window.windows import Windows
from tocsin.model.correlation import Correlation

__all__ = ["firings"]

_EVERYTHING = 2**62


def firings(correlations: Sequence[Correlation], matches: Iterable[Match]) -> list[Firing]:
    """What the correlations say of these matches, in any order; one firing per alert, with all its events.

    The same code that the live consumer runs, without its limits.
    """
    windows = Windows(correlations, Limits(_EVERYTHING, _EVERYTHING))
    taken = sorted(matches, key=in_order)
    steps = [windows.step(taken), windows.step([], dict.fromkeys({match.org for match in taken}, _EVERYTHING))]
    merged: dict[object, Firing] = {}
    for firing in (firing for step in steps for firing in step.firings):
        # Values that only tell rarities apart are no part of an alert.
        alert = (*firing.anchor.key, firing.slot[0], firing.slot[1][: len(firing.correlation.alert_by)])
        known = merged.get(alert)
        merged[alert] = firing if known is None else _joined(known, firing)
    return list(merged.values())


def _joined(first: Firing, second: Firing) -> Firing:
    events = {match.uid: match for match in (*second.matches, *first.matches)}
    anchor = min(first.anchor, second.anchor, key=in_order)
    return Firing(first.correlation, first.org, first.group, first.slot, anchor, tuple(events.values()))
