"""Keys: what must be found for a condition to hold, what is looked for, and where."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from condition_strategies import CONDITIONS, TESTS, VALUES, events
from event_frames import frames_of
from tocsin.columnar.frame import Frame
from tocsin.conditions.literal import passes
from tocsin.detect.evaluate import learning
from tocsin.detect.evaluate.cells import column_of
from tocsin.detect.evaluate.choice import chosen, guessed
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.evaluate.key import ALWAYS, Key, Keys, Look, keys_in
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.evaluate.raw import RawRules
from tocsin.detect.evaluate.sought import Sought
from tocsin.detect.evaluate.text_tests import Alternatives
from tocsin.detect.evaluate.view import EventView
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.condition import And, Condition, Field, Match, Not, Or, Regex, Relation, Test, Text
from tocsin.model.event import Event
from tocsin.model.rule import Rule


def _rules(conditions: list[Condition]) -> list[Rule]:
    return [Rule(str(at), "", condition, (1007,)) for at, condition in enumerate(conditions)]


def _found(engine: Engine, frame: Frame) -> set[tuple[str, int]]:
    return {(rule.id, row) for rule, rows in engine.matches(frame) for row in rows}


@settings(max_examples=300, deadline=None)
@given(condition=CONDITIONS, made=st.lists(events(), min_size=1, max_size=6))
def test_no_event_matches_without_its_keys(condition: Condition, made: list[Event]) -> None:
    """Whatever keys are chosen, an event in which none is found does not match; and exact keys say it all."""
    keys = Keys()
    needed, exact = keys.needed(condition), keys.exact(condition)
    (frame,) = frames_of(made).values()
    view = EventView(frame)
    found = Sought(dict(enumerate(keys.all))).find(view)
    clauses = chosen(needed, [guessed(key) for key in keys.all])
    for row, event in enumerate(made):
        if holds(condition, event):
            assert all(any(row in found.get(key, ()) for key in clause.keys) for clause in clauses)
    if exact is not None and not view.vague:
        rows = {row for key in exact for row in found.get(key, ())}
        assert rows == {row for row, event in enumerate(made) if holds(condition, event)}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions=st.lists(CONDITIONS, min_size=1, max_size=4), made=st.lists(events(), min_size=1, max_size=30))
def test_what_was_learned_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, conditions: list[Condition], made: list[Event]
) -> None:
    """Before the first lesson, after it, with rules judged row by row and all at once: the same matches."""
    monkeypatch.setattr(learning, "_LESSONS", (1, 3, 40))
    (frame,) = frames_of(made).values()
    engine, rules = Engine(_rules(conditions)), _rules(conditions)
    expected = {(rule.id, row) for rule in rules for row, event in enumerate(made) if holds(rule.condition, event)}
    assert [_found(engine, frame) for _ in range(3)] == [expected] * 3
    wide = Frame(frame.class_uid, pa.concat_tables([frame.table] * 40), None)
    if frame.records is None:
        assert _found(engine, wide) == {(i, row + n * len(made)) for i, row in expected for n in range(40)}


@settings(max_examples=200, deadline=None)
@given(tests=st.lists(TESTS, min_size=1, max_size=5), values=st.lists(VALUES, min_size=1, max_size=20, unique=True))
def test_alternatives_agree_one_by_one_and_together(tests: list[Test], values: list[str]) -> None:
    """Arrow's loop over RE2 and one parsed address for all networks give what each test gives alone."""
    alternatives, column = Alternatives(tests), column_of(pa.array(values, pa.string()))
    together = alternatives.judged(column, [column.values.to_pylist().index(value) for value in values])
    assert together.tolist() == [any(passes(test, value) for test in tests) for value in values]


@example(pattern=r"a{,3}b", text="ab")
@example(pattern=r"(?i)\x{4b}|\bé", text="\u212a")
@settings(max_examples=200, deadline=None)
@given(pattern=st.sampled_from([r".{3,}", r"^a?b+$", r"[^x]{2}y|zz", r"(?:ab){2}\s*", r"a{,3}b"]), text=VALUES)
def test_a_text_too_short_to_match_is_not_searched(pattern: str, text: str) -> None:
    """The shortest match that Python's parser sees is never longer than RE2's."""
    test = Regex(pattern)
    judged = Alternatives([test]).judged(column_of(pa.array([text] * 1 + [f"{text}{n}" for n in range(9)])), range(10))
    assert judged[0] == passes(test, text)


def test_negations_need_what_their_opposites_do_not_have() -> None:
    """De Morgan down to the leaves; what cannot be looked for makes every event a candidate."""
    keys = Keys()
    a, b = (Match(Field("process.name"), Text(Relation.CONTAINS, text)) for text in ("aaaa", "bbbb"))
    assert keys.needed(Not(a)) == ALWAYS
    assert [keys.all[at].literal for at in keys_in(keys.needed(Not(Or((Not(a), b)))))] == ["aaaa"]
    assert keys.needed(Or((a, Not(b)))) == ALWAYS
    assert list(keys_in(keys.needed(Or(())))) == []
    assert chosen(keys.needed(Or(())), []) != []


def test_the_rarest_keys_are_chosen() -> None:
    """Of what a rule needs, what few events have; a second clause only if the first is not rare."""
    keys = Keys()
    usual, rare = (Match(Field("process.name"), Text(Relation.CONTAINS, text)) for text in ("usual", "rare one"))
    needed = keys.needed(And((usual, rare)))
    rates = {"usual": 0.1, "rare one": 0.0001}
    (clause,) = chosen(needed, [rates[key.literal] for key in keys.all])
    assert {keys.all[at].literal for at in clause.keys} == {"rare one"}
    rates["rare one"] = 0.05
    assert len(chosen(needed, [rates[key.literal] for key in keys.all])) == 2


def test_an_engine_like_another_takes_over_what_it_knows() -> None:
    """Rules that stay are not compiled again; one that changed is; matches are those of a new engine."""
    name = Field("process.name")
    conditions: list[Condition] = [Match(name, Text(Relation.EQUALS, f"program {n}")) for n in range(50)]
    made = [Event(1007, {"time": 1, "process.name": f"program {n % 60}"}) for n in range(200)]
    (frame,) = frames_of(made).values()
    before = Engine(_rules(conditions))
    _found(before, frame)
    changed = dataclasses.replace(before.rules[3], condition=Match(name, Text(Relation.EQUALS, "program 55")))
    rules = [*before.rules[:3], changed, *before.rules[4:40]]
    after = Engine(rules, like=before)
    assert [each for each in after.compiled if each not in before.compiled] == [after.compiled[3]]
    assert _found(after, frame) == _found(Engine(rules), frame)
    assert ("3", 55) in _found(after, frame)


def test_costs_count_what_was_judged_and_what_matched() -> None:
    """Each rule's events in which its keys were found, and those that matched; time in one batch of some."""
    name = Field("process.name")
    rule = Rule("r", "", And((Match(name, Text(Relation.EQUALS, "seen")), Match(name, Regex("^s")))), (1007,))
    engine = Engine([rule])
    (frame,) = frames_of(
        [Event(1007, {"time": 1, "process.name": text}) for text in ("seen", "other", "SEEN")]
    ).values()
    for _ in range(32):
        _found(engine, frame)
    cost = engine.costs()["r"]
    assert (cost.judged, cost.matched, cost.timed_judged) == (64, 32, 4)
    assert cost.timed_s > 0


@pytest.mark.slow
@pytest.mark.data
def test_taken_out_columns_agree_with_the_naive_reference(public_data: Path) -> None:
    """Public rules on events made of the values they look for: from JSON lines, in one batch and in several."""
    chance = random.Random(3)  # noqa: S311 - reproducible events, no secrets
    rules = tuple(chance.sample(load([public_data / "sigma"], RAW).rules, 400))
    lines = [msgspec.json.encode(_mixed(rules, chance)) for _ in range(120)]
    events = [Event(0, {"time": 0, "unmapped.source": line.decode()}) for line in lines]
    expected = {(at, rule.id) for at, event in enumerate(events) for rule in rules if holds(rule.condition, event)}
    judge = RawRules(rules).judge
    for size in (120, 70, 9):
        starts = range(0, len(lines), size)
        found = [(start + at, rule.id) for start in starts for at, rule in judge(lines[start : start + size]).matches]
        assert set(found) == expected
    assert len({rule for _, rule in expected}) > 80


def _mixed(rules: tuple[Rule, ...], chance: random.Random) -> dict[str, str]:
    """An event that holds what some rules look for."""
    made: dict[str, str] = {}
    for rule in chance.sample(rules, 3):
        for leaf in _some_leaves(rule.condition, chance):
            if isinstance(leaf.test, Text) and "." not in leaf.field.path:
                made[leaf.field.path] = made.get(leaf.field.path, "") + leaf.test.value
    return made


def _some_leaves(condition: Condition, chance: random.Random) -> list[Match]:
    match condition:
        case And(parts):
            return [leaf for part in parts for leaf in _some_leaves(part, chance)]
        case Or(parts) if parts:
            return _some_leaves(chance.choice(parts), chance)
        case Match():
            return [condition]
        case _:
            return []


def test_equal_texts_that_are_short_and_numbers_are_looked_up() -> None:
    """Keys too short to scan for, the empty text, and numbers however they are written."""
    values = ["", "1", "01", "1.0", "abc", "é", "-5", "5"]
    event = [Event(1007, {"time": 1, "process.name": value}) for value in values]
    (frame,) = frames_of(event).values()
    field = Field("process.name")
    keys = [Key(field, Look.EQUALS, text) for text in ("", "1", "é")] + [Key(field, Look.NUMBER, "1.0")]
    found = Sought(dict(enumerate(keys))).find(EventView(frame))
    assert {at: rows.tolist() for at, rows in found.items()} == {0: [0], 1: [1], 2: [5], 3: [1, 2, 3]}
