"""Which keys to look for: of all that a rule needs, those that the fewest events have."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from tocsin.detect.evaluate.key import Key, Look, Needed, NeedsAll

__all__ = ["Clause", "chosen", "guessed"]

_ENOUGH: Final = 0.0005  # of the events; judging so few costs less than looking for another key
_USELESS: Final = 0.2
_LOOKED_AT: Final = 6
_MOST: Final = 3
# Longer texts are rarer, as long as nothing is known; (shortest length, rate).
_BY_LENGTH: Final = ((15, 0.0005), (10, 0.002), (7, 0.01), (5, 0.05), (3, 0.2), (0, 0.6))


class Clause(NamedTuple):
    """Keys of which one must be found, and the share of events in which one is."""

    rate: float
    keys: frozenset[int]


def guessed(key: Key) -> float:
    """The share of events that a key is in, if nothing is known of them."""
    if key.look is Look.PRESENT:
        return 1.0
    if key.look is Look.NUMBER:
        return 0.1
    rate = next(rate for length, rate in _BY_LENGTH if len(key.literal) >= length)
    return rate / 2 if key.look is Look.EQUALS else rate


def chosen(needed: Needed, rates: Sequence[float]) -> list[Clause]:
    """Clauses that must all be met, the rarest first, as many as pay; none if every event must be judged.

    rates: by key, the share of events that it is in.
    """
    found: list[Clause] = []
    share = 1.0
    for clause in _clauses(needed, rates):
        if found and (share < _ENOUGH or clause.rate > _USELESS or len(found) == _MOST):
            break
        found.append(clause)
        share *= clause.rate
    return found


def _clauses(needed: Needed, rates: Sequence[float]) -> list[Clause]:
    """The rarest clauses, rarest first."""
    if isinstance(needed, int):
        return [Clause(rates[needed], frozenset((needed,)))]
    inner = [_clauses(part, rates) for part in needed.parts]
    if isinstance(needed, NeedsAll):
        ordered = [clause for clauses in inner for clause in clauses]
        ordered.sort(key=attrgetter("rate"))
        return ordered[:_LOOKED_AT]
    if not all(inner):
        return []
    rarest = [clauses[0] for clauses in inner]
    keys = frozenset().union(*(clause.keys for clause in rarest))
    return [Clause(min(1.0, sum(clause.rate for clause in rarest)), keys)]
