"""The incremental windows say what the naive reference says, however matches arrive."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from detect.window.window_cases import LATENESS_MS, Case, cases, events_of, run
from tocsin.detect.window import naive
from tocsin.detect.window.correlate import firings
from tocsin.detect.window.group import Span
from tocsin.detect.window.match import GroupKey, Match, Slot
from tocsin.detect.window.windows import Windows


def _split(matches: tuple[Match, ...], cuts: list[int]) -> list[tuple[Match, ...]]:
    places = sorted({0, len(matches), *(cut % (len(matches) + 1) for cut in cuts)})
    return [matches[first:last] for first, last in pairwise(places)]


@given(cases())
def test_a_whole_set_at_once_is_what_the_reference_says(case: Case) -> None:
    """The form that backtests use gives the reference's alerts, each with all its events."""
    expected = naive.firings(case.correlations, case.matches)
    merged: dict[object, set[str]] = {}
    for (key, slot), events in expected.items():
        merged.setdefault((key, slot[0], slot[1][:1]), set()).update(events)
    found = {
        (firing.anchor.key, firing.slot[0], firing.slot[1][:1]): {match.uid for match in firing.matches}
        for firing in firings(case.correlations, case.matches)
    }
    assert found == merged


@given(cases(), st.lists(st.integers(0, 100), max_size=12))
def test_any_split_and_any_order_within_the_lateness_say_the_same(case: Case, cuts: list[int]) -> None:
    """Matches in any steps, out of order as far as is allowed: in the end the same was told."""
    expected = naive.firings(case.correlations, case.matches)
    assert events_of(run(Windows(case.correlations), _split(case.matches, cuts))) == expected


@given(cases() | cases(chained=True), st.lists(st.integers(0, 100), max_size=12), st.sets(st.integers(0, 12)))
def test_any_point_of_restart_says_the_same(case: Case, cuts: list[int], restarts: set[int]) -> None:
    """Windows that are restored from what the state keeps go on as if nothing had happened, forgetting on the way."""
    windows, found, newest = Windows(case.correlations), [], 0
    kept: list[Match] = []
    told: dict[tuple[GroupKey, Slot], Sequence[Span]] = {}
    for number, matches in enumerate([*_split(case.matches, cuts), ()]):
        newest = max([newest, *(match.time for match in matches)])
        watermark = newest - LATENESS_MS if matches else 10**9
        step = windows.step(matches, {"org": watermark})
        found += step.firings
        kept += [*matches, *step.chained]
        told |= step.told
        assert not step.late
        assert not step.evicted
        for (_, own), before in windows.forget({"org": newest - LATENESS_MS}).items():
            kept = [match for match in kept if match.correlation != own or match.time >= before]
        if number in restarts:
            watermarks = windows.watermarks
            windows = Windows(case.correlations)
            windows.restore(kept, told, watermarks)
    assert events_of(found) == naive.firings(case.correlations, case.matches)


@given(cases(chained=True), st.lists(st.integers(0, 100), max_size=12))
def test_chained_correlations_tell_everything_however_split(case: Case, cuts: list[int]) -> None:
    """Whatever an inner correlation tells, before or after the outer one has fired, is told by both."""
    expected = naive.firings(case.correlations, case.matches)
    assert events_of(run(Windows(case.correlations), _split(case.matches, cuts))) == expected
