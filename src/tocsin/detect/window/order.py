"""Members that match one after another: chains, each step a later event than the one before.

A chain remembers when it began at the latest, so that nothing has to be undone when the span of time slides on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from tocsin.detect.window.match import Match
from tocsin.model.correlation import Every, Expression, Never, Seen, Some

__all__ = ["Chain", "Chains", "clauses"]

_NEVER = -1


class Chain:
    """One chain of all these members, in their order."""

    def __init__(self, members: Sequence[str]) -> None:
        self._place = {member: place for place, member in enumerate(members, 1)}
        # For each number of steps done the latest start of such a chain; that of no steps is whatever comes next.
        self._start = [_NEVER] * (len(members) + 1)
        self._uid, self._before = "", self._start

    def add(self, match: Match) -> None:
        """One more match, later than all others, or of the same event as the last one."""
        place = self._place.get(match.member)
        if match.uid != self._uid:
            # One event is not two steps: steps of this event go on from where things stood before it.
            self._uid, self._before = match.uid, self._start.copy()
        if place is not None:
            begun = match.time if place == 1 else self._before[place - 1]
            self._start[place] = max(self._start[place], begun)

    def complete(self, since: int) -> bool:
        """Has a whole chain begun at that time or later?"""
        return len(self._start) == 1 or self._start[-1] >= max(since, 0)


class Chains:
    """Chains of some of the members, in their order; how long is the longest?"""

    def __init__(self, members: Sequence[str]) -> None:
        self._place = {member: place for place, member in enumerate(members)}
        # [steps done - 1][member of the last step]: the latest start.
        self._start = [[_NEVER] * len(members) for _ in members]
        self._uid, self._before = "", self._start

    def add(self, match: Match) -> None:
        """One more match, later than all others, or of the same event as the last one."""
        if match.uid != self._uid:
            self._uid, self._before = match.uid, [row.copy() for row in self._start]
        place = self._place[match.member]
        self._start[0][place] = max(self._start[0][place], match.time)
        for steps in range(1, place + 1):
            begun = max(self._before[steps - 1][:place])
            self._start[steps][place] = max(self._start[steps][place], begun)

    def longest(self, since: int) -> int:
        """Steps of the longest chain that began at that time or later."""
        lengths = (steps for steps, row in enumerate(self._start, 1) if max(row) >= max(since, 0))
        return max(lengths, default=0)


def clauses(expression: Expression, members: Sequence[str]) -> list[tuple[tuple[str, ...], frozenset[str]]]:
    """The ways in which an expression can hold: members that must come, in the order of all members, and none of those.

    No members that must come is a way too.
    """
    return [
        (
            tuple(sorted({name for name, wanted in way if wanted}, key=members.index)),
            frozenset(name for name, wanted in way if not wanted),
        )
        for way in _ways(expression, wanted=True)
    ]


def _ways(expression: Expression, *, wanted: bool) -> list[tuple[tuple[str, bool], ...]]:
    match expression:
        case Seen(rule):
            return [((rule, wanted),)]
        case Never(part):
            return _ways(part, wanted=not wanted)
        case Every(parts) | Some(parts) if isinstance(expression, Every) == wanted:
            combined = product(*(_ways(part, wanted=wanted) for part in parts))
            return [tuple(term for way in ways for term in way) for ways in combined]
        case Every(parts) | Some(parts):
            return [way for part in parts for way in _ways(part, wanted=wanted)]
