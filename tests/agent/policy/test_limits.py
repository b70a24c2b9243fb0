"""Rate limits and the share of the processor, by a clock that the test moves."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tocsin.agent.policy.bucket import TokenBucket
from tocsin.agent.policy.governor import STEPS, Governor
from tocsin.agent.policy.protected import NETWORK, PROCESS


@given(st.integers(1, 50), st.lists(st.floats(0, 0.5), min_size=1, max_size=300))
def test_a_bucket_gives_no_more_than_its_rate_over_any_time(per_second: int, pauses: list[float]) -> None:
    """In every span of time at most the rate times its length, and what may come at once."""
    now = [0.0]
    bucket = TokenBucket(per_second, lambda: now[0])
    given_at = []
    for pause in pauses:
        now[0] += pause
        if bucket.take():
            given_at.append(now[0])
    for first, start in enumerate(given_at):
        for last in range(first, len(given_at)):
            assert last - first + 1 <= per_second * (given_at[last] - start) + per_second + 1e-6


def test_a_bucket_refills_steadily() -> None:
    """After a second of rest it is full, and never more than full."""
    now = [0.0]
    bucket = TokenBucket(10, lambda: now[0])
    assert [bucket.take() for _ in range(11)].count(True) == 10
    now[0] = 0.3
    assert [bucket.take() for _ in range(11)].count(True) == 3
    now[0] = 100.0
    assert [bucket.take() for _ in range(11)].count(True) == 10


def run(
    governor: Governor, start_s: float, used_s: float, seconds: int, percent: float
) -> tuple[float, float, list[int]]:
    """Have the agent use so many percent; gives when and what is used after it, and the steps that were taken."""
    steps = []
    for _ in range(seconds):
        start_s, used_s = start_s + 1, used_s + percent / 100
        if governor.look(start_s, used_s):
            steps.append(governor.step)
    return start_s, used_s, steps


def test_the_governor_lowers_only_what_is_sustained_and_step_by_step() -> None:
    """A burst of half a minute is nothing; after a minute it steps until the use is below the limit."""
    governor = Governor(5)
    at, used, steps = run(governor, 0.0, 0.0, 90, 1.0)
    at, used, more = run(governor, at, used, 10, 20.0)
    assert steps + more == []
    at, used, _ = run(governor, at, used, 60, 1.0)
    at, used, steps = run(governor, at, used, 75, 20.0)
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > 3
    at, used, steps = run(governor, at, used, 20, 4.0)
    assert steps == []


def test_the_governor_recovers_step_by_step() -> None:
    """After half a minute at half of the limit it goes back by one, and in the end to nothing."""
    governor = Governor(5)
    at, used, _ = run(governor, 0.0, 0.0, 66, 50.0)
    reached = governor.step
    assert reached == 2
    _, _, steps = run(governor, at, used, 120, 1.0)
    assert steps == list(range(reached - 1, -1, -1))


def test_without_a_limit_nothing_is_lowered() -> None:
    """Zero switches it off."""
    assert run(Governor(0), 0.0, 0.0, 300, 90.0)[2] == []


def test_programs_are_lowered_last() -> None:
    """Connections go first, every step goes on from the one before, and nothing protected has a step."""
    assert STEPS[0] == {}
    assert NETWORK in STEPS[1]
    assert PROCESS not in STEPS[3]
    for before, after in pairwise(STEPS):
        assert all(after[class_uid] >= rate for class_uid, rate in before.items())
