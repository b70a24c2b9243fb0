"""Limits, lateness and what a step must leave behind."""

from __future__ import annotations

import pytest

from detect.window.window_cases import FIRST, SPAN_MS, bound, correlation
from tocsin.detect.window.groups import Limits
from tocsin.detect.window.match import Match
from tocsin.detect.window.windows import Windows
from tocsin.model.correlation import Correlation, CorrelationType


def _match(time: int, user: str = "alice", value: str = "1") -> Match:
    return Match(FIRST + time, f"{FIRST + time}-{user}-{value}", "org", "x", "a", (user,), (value,))


def _at_least(limit: int) -> Correlation:
    return correlation(CorrelationType.EVENT_COUNT, [bound("gte", limit)])


def test_a_group_at_its_limit_forgets_its_oldest_matches() -> None:
    """Of ten matches a group that may hold four keeps the newest four, and says how many went and why."""
    windows = Windows([_at_least(2)], Limits(of_group=4))
    step = windows.step([_match(time) for time in range(10)])
    assert [(each.matches, each.limit, each.before) for each in step.evicted] == [(6, "group", FIRST + 6)]
    assert windows.held == (1, 4)


def test_a_group_may_hold_what_the_condition_asks_for() -> None:
    """A limit below the number that is asked for would keep the correlation from ever firing; it gives way."""
    windows = Windows([_at_least(15)], Limits(of_group=4))
    fired = [windows.step([_match(time)]).firings for time in range(15)]
    assert [len(firings) for firings in fired] == [0] * 14 + [1]
    assert len(fired[-1][0].matches) == 15


def test_matches_of_one_moment_do_not_pass_the_limit() -> None:
    """When more than the limit happen in the same millisecond, all of that millisecond go."""
    windows = Windows([_at_least(2)], Limits(of_group=4))
    step = windows.step([_match(0, value=str(number)) for number in range(9)])
    assert sum(each.matches for each in step.evicted) == 9
    assert len(step.firings[0].matches) == 9


def test_beyond_the_total_the_groups_go_whose_last_match_is_oldest() -> None:
    """Fourteen groups of one match, room for ten: down to nine tenths of the limit, the quietest first."""
    windows = Windows([_at_least(2)], Limits(of_all=10))
    step = windows.step([_match(time, user=f"user{time:02}") for time in range(14)])
    assert [each.key[2] for each in step.evicted] == [(f"user{number:02}",) for number in range(5)]
    assert {each.limit for each in step.evicted} == {"total"}
    assert windows.held[1] == 9


def test_what_waits_leaves_out_late_matches_and_says_so() -> None:
    """A correlation that waits has settled what lies before the watermark: a match from there is late."""
    windows = Windows([correlation(CorrelationType.EVENT_COUNT, [bound("lte", 1)])])
    windows.step([_match(50)], {"org": FIRST + 40})
    late = _match(39)
    assert windows.step([late]).late == [late]
    assert windows.step([], {"org": FIRST + 51}).firings[0].matches == (_match(50),)


def test_what_fires_at_once_takes_matches_however_late() -> None:
    """A host that ships its past late still has it judged."""
    windows = Windows([_at_least(2)])
    windows.step([], {"org": FIRST + 1_000_000})
    step = windows.step([_match(0), _match(SPAN_MS)])
    assert not step.late
    assert len(step.firings[0].matches) == 2


def test_the_span_has_both_ends() -> None:
    """Two matches exactly the time span apart are together, one millisecond more and they are not."""
    windows = Windows([_at_least(2)])
    assert windows.step([_match(0), _match(SPAN_MS)]).firings
    assert not windows.step([_match(100), _match(100 + SPAN_MS + 1)]).firings


def test_time_that_is_over_is_forgotten() -> None:
    """Matches and what was told go when no anchor can need them, and the state is told up to when."""
    windows = Windows([_at_least(2)])
    windows.step([_match(0), _match(1)])
    assert windows.forget({"org": FIRST + SPAN_MS}) == {("org", "x"): FIRST}
    assert windows.held == (1, 2)
    windows.forget({"org": FIRST + SPAN_MS + 2})
    assert windows.held == (0, 0)


@pytest.mark.parametrize("before", [FIRST, FIRST + 10_000])
def test_another_org_is_another_matter(before: int) -> None:
    """Time and groups of one org say nothing about those of another."""
    windows = Windows([_at_least(2)])
    windows.step([_match(0)], {"elsewhere": before})
    windows.forget({"elsewhere": before})
    assert windows.held == (1, 1)


def test_what_an_inner_correlation_tells_later_is_told_outside_too() -> None:
    """A burst and a login have fired; one more failure of the same burst, after the login, belongs to the alert."""
    inner = correlation(CorrelationType.EVENT_COUNT, [bound("gte", 2)], own="x", members=("a",), window_ms=1_000)
    outer = correlation(CorrelationType.TEMPORAL_ORDERED, [bound("gte", 2)], own="y", members=("x", "b"))
    windows = Windows([outer, inner])
    windows.step([_match(0), _match(1)])
    login = Match(FIRST + 2, "login", "org", "y", "b", ("alice",), ("1",))
    [fired] = windows.step([login]).firings
    assert {match.uid for match in fired.matches} == {_match(0).uid, _match(1).uid, "login"}
    later = [firing for firing in windows.step([_match(3)]).firings if firing.correlation.id == "y"]
    assert [[match.uid for match in firing.matches] for firing in later] == [[_match(3).uid]]
    assert {firing.slot for firing in later} == {fired.slot}
