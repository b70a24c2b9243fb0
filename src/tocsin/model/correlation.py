"""A correlation: several matches of rules, close in time and alike in some values, that mean something together.

Compiled from a Sigma correlation document, or from a rule's own `tocsin: {threshold: N}`. What it means of a set of
matches is said in docs/correlations.md and decided by `detect.window`; what is decided here is only what it says.
"""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tocsin.model.condition import Field
from tocsin.model.life import Life

__all__ = [
    "Bound",
    "Comparison",
    "Correlation",
    "CorrelationType",
    "Every",
    "Expression",
    "Lookup",
    "Member",
    "Never",
    "Seen",
    "Some",
    "seen_members",
]


class CorrelationType(enum.StrEnum):
    """What is computed of the matches of one group in one time span."""

    EVENT_COUNT = "event_count"  # the number of matches
    VALUE_COUNT = "value_count"  # the number of distinct values; of several fields: of distinct tuples
    TEMPORAL = "temporal"  # the number of distinct members that matched, or the expression over them
    TEMPORAL_ORDERED = "temporal_ordered"  # the same, the members having matched in their order
    VALUE_SUM = "value_sum"
    VALUE_AVG = "value_avg"
    # With `percentile`: that percentile of the values, nearest rank. Without: how many per cent of the values the
    # anchor's own value makes up, which is what the specification's example ("than 1% of all") asks.
    VALUE_PERCENTILE = "value_percentile"
    VALUE_MEDIAN = "value_median"  # of an even number of values: the mean of the middle two


class Comparison(enum.StrEnum):
    """How what was computed relates to a limit; named as Sigma names it."""

    LESS = "lt"
    AT_MOST = "lte"
    GREATER = "gt"
    AT_LEAST = "gte"
    EQUAL = "eq"
    NOT_EQUAL = "neq"


_COMPARE: Final[dict[Comparison, Callable[[float, float], bool]]] = {
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.EQUAL: operator.eq,
    Comparison.NOT_EQUAL: operator.ne,
}


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit to what was computed."""

    comparison: Comparison
    limit: float

    def holds(self, computed: float) -> bool:
        """Does it compare so with the limit?"""
        return _COMPARE[self.comparison](computed, self.limit)


@dataclass(frozen=True, slots=True)
class Seen:
    """A member, by its id, has matched."""

    rule: str


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One of the parts holds."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Never:
    """The part does not hold."""

    part: Expression


Expression = Seen | Every | Some | Never

# Where a member's match has a value: the fields of its event, of which the first text of the first that has one counts;
# or, of a member that is itself a correlation, a name among what its firing carries (`Correlation.carried`).
Lookup = tuple[Field, ...] | str


@dataclass(frozen=True, slots=True)
class Member:
    """A rule or correlation whose matches a correlation looks at."""

    rule: str  # id of a Rule or of a Correlation
    group_by: tuple[Lookup, ...] = ()  # one for each name of Correlation.group_by, in its order
    value: tuple[Lookup, ...] = ()  # one for each name of Correlation.value, in its order
    carried: tuple[Lookup, ...] = ()  # one for each name of Correlation.carried, in its order


@dataclass(frozen=True, slots=True)
class Correlation:
    """One correlation; it fires where the matches of one group within `timespan_ms` satisfy all `bounds`.

    With an `expression`, that decides instead, and there are no bounds.
    """

    id: str
    title: str
    type: CorrelationType
    members: tuple[Member, ...]  # in the order that temporal_ordered means
    timespan_ms: int
    bounds: tuple[Bound, ...] = ()
    group_by: tuple[str, ...] = ()  # names, as the document says them; empty: all matches are one group
    value: tuple[str, ...] = ()  # names of what is counted or computed; several: their values as one tuple
    # Names that outer correlations look up in this one's firings beside its own group-by: a firing has the values of
    # its anchor match, the latest that it needed.
    carried: tuple[str, ...] = ()
    percentile: float | None = None  # of value_percentile, 0 to 100
    expression: Expression | None = None  # of the temporal types, over ids of members
    generate: bool = False  # its members raise alerts of their own too
    name: str = ""
    title_template: str = ""  # over the names of group_by; empty: the title
    description: str = ""
    level: str = "medium"
    status: str = ""
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    response: str = ""  # what to do about it
    alert_by: tuple[str, ...] = ()  # firings alike in these are one alert; names of group_by or carried
    window_ms: int = 0  # and within this
    life: Life = field(default_factory=Life)
    path: str = ""  # file it came from
    line: int = 0  # where it starts in that file


def seen_members(expression: Expression) -> Iterator[str]:
    """The ids of the members that an expression names, left to right."""
    match expression:
        case Seen(rule):
            yield rule
        case Every(parts) | Some(parts):
            for part in parts:
                yield from seen_members(part)
        case Never(part):
            yield from seen_members(part)
