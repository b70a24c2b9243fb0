"""Generated correlations and matches, and the windows as one long run sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tocsin.detect.window.match import Firing, Match
from tocsin.detect.window.naive import Told, told
from tocsin.detect.window.windows import Windows
from tocsin.model.correlation import (
    Bound,
    Comparison,
    Correlation,
    CorrelationType,
    Every,
    Expression,
    Member,
    Never,
    Seen,
    Some,
)

SPAN_MS = 20
LATENESS_MS = 15
RULES = ("a", "b", "c")
FIRST = 1_000

_COUNTS = (CorrelationType.EVENT_COUNT, CorrelationType.VALUE_COUNT)
_TEMPORAL = (CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED)


@dataclass(frozen=True)
class Case:
    """Correlations, and matches in the order of their arrival."""

    correlations: tuple[Correlation, ...]
    matches: tuple[Match, ...]


def correlation(
    kind: CorrelationType,
    bounds: Sequence[Bound] = (),
    *,
    own: str = "x",
    members: Sequence[str] = RULES,
    group_by: tuple[str, ...] = ("user",),
    **more: object,
) -> Correlation:
    """A correlation of rules, or of other correlations, over one group-by name."""
    return Correlation(
        id=own,
        title=f"Correlation {own}",
        type=kind,
        members=tuple(Member(rule, group_by) for rule in members),
        timespan_ms=SPAN_MS,
        bounds=tuple(bounds),
        group_by=group_by,
        alert_by=group_by,
        **more,  # type: ignore[arg-type]
    )


def bound(comparison: str, limit: float) -> Bound:
    return Bound(Comparison(comparison), limit)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> Expression:
    shape = draw(st.sampled_from(["seen", "seen", "every", "some", "never"])) if depth else "seen"
    if shape == "seen":
        return Seen(draw(st.sampled_from(RULES)))
    if shape == "never":
        return Never(draw(expressions(depth - 1)))
    parts = tuple(draw(st.lists(expressions(depth - 1), min_size=1, max_size=3)))
    return Every(parts) if shape == "every" else Some(parts)


@st.composite
def correlations(draw: st.DrawFn) -> tuple[Correlation, ...]:
    """One correlation of rules; perhaps another one around it."""
    kind = draw(st.sampled_from(list(CorrelationType)))
    first = _of_kind(draw, kind, "x", RULES)
    if draw(st.booleans()):
        return (first,)
    return _around(draw, first)


@st.composite
def chains(draw: st.DrawFn) -> tuple[Correlation, ...]:
    """A correlation that is easily satisfied, with a longer window than its time span, and another one around it."""
    inner = correlation(CorrelationType.EVENT_COUNT, [bound("gte", 2)], own="x", members=("b",), window_ms=50)
    return _around(draw, inner)


def _around(draw: st.DrawFn, first: Correlation) -> tuple[Correlation, ...]:
    outer_kind = draw(st.sampled_from((*_TEMPORAL, CorrelationType.EVENT_COUNT)))
    return (_of_kind(draw, outer_kind, "y", ("x", "a")), first)


def _of_kind(draw: st.DrawFn, kind: CorrelationType, own: str, members: Sequence[str]) -> Correlation:
    window_ms = draw(st.sampled_from([0, 7, 50]))
    if kind in _TEMPORAL and members == RULES and draw(st.booleans()):
        return correlation(kind, own=own, members=members, expression=draw(expressions()), window_ms=window_ms)
    percentile = draw(st.sampled_from([None, 0.0, 50.0, 99.0])) if kind is CorrelationType.VALUE_PERCENTILE else None
    limits = st.integers(1, 4) if kind in (*_COUNTS, *_TEMPORAL) else st.sampled_from([-1, 0, 2.5, 20, 50])
    comparisons = st.sampled_from(["gte", "gte", "gt", "lt", "lte", "eq", "neq"])
    bounds = draw(st.lists(st.builds(bound, comparisons, limits), min_size=1, max_size=2))
    return correlation(kind, bounds, own=own, members=members, percentile=percentile, window_ms=window_ms)


@st.composite
def cases(draw: st.DrawFn, *, chained: bool = False) -> Case:
    """Matches that arrive out of order, but none later than the lateness allows."""
    chosen = draw(chains() if chained else correlations())
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 60),  # time
                st.integers(0, LATENESS_MS - 1),  # and how much later it arrives
                st.sampled_from(RULES),
                st.sampled_from(["alice", "bob"]),
                st.sampled_from(["-1.5", "0", "0.1", "0.2", "3", "10"]),
                st.booleans(),  # of the same event as another rule's match
            ),
            max_size=30,
        )
    )
    matches = []
    for number, (time, delay, rule, user, value, same) in enumerate(rows):
        event = f"{FIRST + time:06d}-{user}-{value}" if same else f"{FIRST + time:06d}-{number:03d}"
        for each in chosen:
            if rule in {member.rule for member in each.members}:
                match = Match(FIRST + time, event, "org", each.id, rule, (user,), (value,))
                matches.append((time + delay, number, match))
    matches.sort(key=lambda row: row[:2])
    return Case(chosen, tuple(match for *_, match in matches))


def events_of(firings: Sequence[Firing]) -> Told:
    return told((firing, [match.uid for match in firing.matches]) for firing in firings)


def run(windows: Windows, steps: Sequence[Sequence[Match]]) -> list[Firing]:
    """Step after step, the watermark as far behind the newest match as is allowed; at last it passes everything."""
    found: list[Firing] = []
    newest = 0
    for matches in steps:
        newest = max([newest, *(match.time for match in matches)])
        found += windows.step(matches, {"org": newest - LATENESS_MS}).firings
    return found + windows.step([], {"org": 10**9}).firings
