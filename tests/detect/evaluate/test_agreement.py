"""The column evaluator gives exactly what the naive one gives, however events are split into batches."""

from __future__ import annotations

import itertools
import random

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from condition_strategies import CONDITIONS, events
from evaluators import Matches, matches_of, naive_matches
from event_frames import frames_of
from rule_events import fitting, made_for
from tocsin.columnar.nested import nested
from tocsin.conditions.render_sql import render_filter
from tocsin.detect.evaluate.engine import Engine
from tocsin.model.condition import Condition
from tocsin.model.event import Event
from tocsin.model.rule import Rule

# Of the public rules so many find an event; of the others no event can be made by doing what each term asks for.
_MATCHED = 0.97


@pytest.mark.data
def test_every_rule_agrees_on_events_made_for_it(sigma_rules: list[Rule]) -> None:
    """All rules on a batch with three events made for each rule: the same pairs of rule and event, and many of them."""
    chance = random.Random(7)  # noqa: S311 - reproducible events, no secrets
    makers = [fitting, made_for, made_for]
    wanted = [(make, rule) for make in makers for rule in sigma_rules]
    frames = frames_of([make(rule, chance, time) for time, (make, rule) in enumerate(wanted)])
    found = matches_of(Engine(sigma_rules), frames)
    assert found == naive_matches(sigma_rules, frames)
    assert len({path for path, _ in found}) > _MATCHED * len(sigma_rules)


@pytest.mark.data
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 40), max_size=4), size=st.integers(1, 40))
def test_splits_change_nothing(sigma_rules: list[Rule], seed: int, cuts: list[int], size: int) -> None:
    """Any split of any events into batches gives the matches of the naive evaluator."""
    chance = random.Random(seed)  # noqa: S311 - reproducible events, no secrets
    rules = chance.sample(sigma_rules, 12)
    made = [made_for(chance.choice(rules), chance, time) for time in range(size)]
    engine = Engine(rules)
    edges = [0, *sorted(cuts), size]
    batches = [made[start:end] for start, end in itertools.pairwise(edges)]
    together = matches_of(engine, frames_of(*batches))
    apart: Matches = set().union(*(matches_of(engine, frames_of(batch)) for batch in batches))
    assert together == apart == naive_matches(rules, frames_of(made))


@settings(max_examples=400, deadline=None)
@given(conditions=st.lists(CONDITIONS, min_size=1, max_size=4), made=st.lists(events(), min_size=1, max_size=8))
def test_any_condition_agrees(conditions: list[Condition], made: list[Event]) -> None:
    """Trees that no rule would hold: letters, numbers, lists and records of every kind, judged together."""
    rules = [Rule(str(at), "", condition, (1007,), path=str(at)) for at, condition in enumerate(conditions)]
    for time, event in enumerate(made):
        event.values["time"] = time
    frames = frames_of(made)
    assert matches_of(Engine(rules), frames) == naive_matches(rules, frames)


@pytest.mark.slow
@pytest.mark.data
def test_every_rule_as_sql_finds_the_same_events(sigma_rules: list[Rule]) -> None:
    """Live equals history: each rule rendered for DuckDB over the lake's form finds what its masks find."""
    chance = random.Random(11)  # noqa: S311 - reproducible events, no secrets
    every = len(sigma_rules)
    made = [fitting(rule, chance, time) for time, rule in enumerate(sigma_rules)]
    made += [made_for(rule, chance, every + time) for time, rule in enumerate(sigma_rules)]
    frames = frames_of(made)
    database = duckdb.connect()
    for class_uid, frame in frames.items():
        database.register(f"events_{class_uid}", nested(frame))
    live = matches_of(Engine(sigma_rules), frames)
    for rule, event in zip(sigma_rules, made[:every], strict=True):
        where = render_filter(rule.condition, event.class_uid)
        sql = f"SELECT time FROM events_{event.class_uid} WHERE {where}"  # noqa: S608 - rendered, as in use
        found = {time for (time,) in database.execute(sql).fetchall()}
        assert found == {time for path, time in live if path == rule.path and made[time].class_uid == event.class_uid}
    assert len({path for path, _ in live}) > _MATCHED * len(sigma_rules)
