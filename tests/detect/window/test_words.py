"""What correlations ask for, as people read it."""

from __future__ import annotations

import pytest

from detect.window.window_cases import bound, correlation
from tocsin.detect.window.words import asked, duration
from tocsin.model.correlation import Correlation, CorrelationType, Seen

KINDS = CorrelationType


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (correlation(KINDS.EVENT_COUNT, [bound("gte", 5)]), "at least 5 events in 0.02s"),
        (
            correlation(KINDS.EVENT_COUNT, [bound("gt", 2), bound("lte", 9)]),
            "more than 2 and at most 9 events in 0.02s",
        ),
        (correlation(KINDS.VALUE_COUNT, [bound("lt", 3)], value=("v",)), "fewer than 3 values of v in 0.02s"),
        (correlation(KINDS.TEMPORAL, [bound("gte", 3)]), "all rules in 0.02s"),
        (correlation(KINDS.TEMPORAL_ORDERED, [bound("gte", 2)]), "at least 2 rules, in order in 0.02s"),
        (correlation(KINDS.TEMPORAL, expression=Seen("a")), "the condition over rules in 0.02s"),
        (correlation(KINDS.VALUE_AVG, [bound("gt", 2.5)], value=("v",)), "avg of v > 2.5 in 0.02s"),
        (
            correlation(KINDS.VALUE_PERCENTILE, [bound("lte", 1)], value=("v",)),
            "a value of v that is ≤ 1 % of all in 0.02s",
        ),
        (
            correlation(KINDS.VALUE_PERCENTILE, [bound("gte", 7)], value=("v",), percentile=95.0),
            "percentile 95 of v ≥ 7 in 0.02s",
        ),
    ],
)
def test_a_condition_in_words(given: Correlation, said: str) -> None:
    """Each type says what it computes, of what, and the limits."""
    assert asked(given) == said


def test_durations_are_written_as_rules_write_them() -> None:
    """In the largest unit that gives a whole number."""
    assert [duration(ms) for ms in (90_000, 600_000, 86_400_000, 7_200_000)] == ["90s", "10m", "1d", "2h"]
