"""An explanation agrees with the reference evaluator, and names what would have made the event match."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from condition_strategies import CONDITIONS, events
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.evaluate.texts import record_fields
from tocsin.detect.quality.explain import Explanation, Kind, Step, explain
from tocsin.detect.quality.flip import Fields, Flip, flips
from tocsin.detect.quality.selections import named_selections
from tocsin.detect.sigma.library import load
from tocsin.model.condition import And, Condition, InRecord, Not, Or
from tocsin.model.event import Event, Value
from tocsin.model.rule import Rule
from tocsin.model.wire import PlainRecord

_RULE = """\
title: Shell From A Web Server
id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11
logsource: {product: linux, category: process_creation}
detection:
    selection_parent:
        ParentImage|endswith: [/nginx, /apache2]
    selection_shell:
        Image|endswith: /sh
        CommandLine|contains|all: [-c, whoami]
    filter_health:
        CommandLine|contains: /health
    condition: all of selection_* and not 1 of filter_*
"""


def _rule(tmp_path: Path, text: str = _RULE) -> Rule:
    file = tmp_path / "rule.yml"
    file.write_text(text)
    return load([file]).rules[0]


def _start(command: str, parent: str = "/usr/sbin/nginx") -> Event:
    values: dict[str, Value] = {
        "activity_id": 1,
        "process.file.path": "/bin/sh",
        "process.cmd_line": command,
        "process.parent_process.file.path": parent,
    }
    return Event(1007, {"time": 1, **values})


def _explained(rule: Rule, event: Event) -> Explanation:
    return explain(rule, event, named_selections(rule))


def _steps(step: Step) -> Iterator[Step]:
    yield step
    for part in step.parts:
        yield from _steps(part)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(CONDITIONS, events())
def test_verdicts_are_the_reference_evaluators(condition: Condition, event: Event) -> None:
    """The root's verdict is that of naive.holds, and every step's verdict follows from its parts."""
    explained = explain(Rule("r", "Rule", condition, (1007,)), event)
    assert explained.matches == explained.tree.holds == holds(condition, event)
    for step in _steps(explained.tree):
        verdicts = [part.holds for part in step.parts]
        if step.kind is not Kind.TERM:
            follows = {
                Kind.ALL: all(verdicts),
                Kind.ANY: any(verdicts),
                Kind.NOT: not all(verdicts),
                Kind.RECORD: any(verdicts),
            }
            assert step.holds == follows[step.kind]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(CONDITIONS, events())
def test_turning_the_missing_terms_makes_it_match(condition: Condition, event: Event) -> None:
    """If the terms that are named turned out the other way, the condition would hold; if it holds, none is named."""
    needed = flips(condition, event)
    if holds(condition, event):
        assert needed == ()
    elif needed is not None:
        assert needed
        assert _holds_with(condition, event, needed, None, -1)


def _holds_with(condition: Condition, event: Event, turned: tuple[Flip, ...], record: Fields | None, key: int) -> bool:
    def again(part: Condition) -> bool:
        return _holds_with(part, event, turned, record, key)

    match condition:
        case And(parts):
            return all(map(again, parts))
        case Or(parts):
            return any(map(again, parts))
        case Not(part):
            return not again(part)
        case InRecord(part):
            records = enumerate(map(record_fields, event.records))
            return any(_holds_with(part, event, turned, fields, place) for place, fields in records)
        case _:
            flip = next((each for each in turned if each.leaf == condition and each.key == key), None)
            return flip.must_hold if flip else holds(condition, event, record)


def test_selections_are_shown_by_name_and_line(tmp_path: Path) -> None:
    """A person finds the rule's own names in the tree, with their lines."""
    rule = _rule(tmp_path)
    named = {step.name: step for step in _steps(_explained(rule, _start("sh -c whoami")).tree) if step.line}
    assert {name: (step.line, step.holds) for name, step in named.items()} == {
        "selection_parent": (5, True),
        "selection_shell": (7, True),
        "filter_health": (10, False),
    }


def test_a_match_misses_nothing(tmp_path: Path) -> None:
    """An event that matches has no missing terms."""
    explained = _explained(_rule(tmp_path), _start("sh -c whoami"))
    assert explained.matches
    assert explained.missing == ()


def test_the_nearest_miss_is_named_with_the_value_seen(tmp_path: Path) -> None:
    """Of two parents that would do, the one that the value seen is more like is named."""
    explained = _explained(_rule(tmp_path), _start("sh -c whoami", parent="/usr/sbin/apache"))
    assert not explained.matches
    assert explained.missing is not None
    (missing,) = explained.missing
    assert (missing.term, missing.must_hold) == ("ParentImage|endswith: /apache2", True)
    assert [seen.value for seen in missing.seen] == ["/usr/sbin/apache"]


def test_a_filter_that_held_must_not(tmp_path: Path) -> None:
    """What kept the rule silent was its filter: that is what would have to turn."""
    explained = _explained(_rule(tmp_path), _start("sh -c whoami /health"))
    assert explained.missing is not None
    assert [(each.term, each.must_hold) for each in explained.missing] == [("CommandLine|contains: /health", False)]


def test_an_event_of_another_class_never_matches(tmp_path: Path) -> None:
    """A rule about process starts says so of a file event."""
    explained = _explained(_rule(tmp_path), Event(1001, {"time": 1}))
    assert (explained.right_class, explained.matches, explained.event_class) == (False, False, "File System Activity")


_RECORDS = """\
title: Passwd Touched
id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a12
logsource: {product: linux, service: auditd}
detection:
    selection:
        type: PATH
        name: /etc/passwd
        nametype: CREATE
    condition: selection
"""


@pytest.mark.parametrize(("nametype", "term"), [("CREATE", None), ("NORMAL", "nametype: CREATE")])
def test_the_record_that_comes_nearest_is_shown(tmp_path: Path, nametype: str, term: str | None) -> None:
    """A selection holds within one record; the one that fits best is explained."""
    records = (
        PlainRecord("SYSCALL", ("syscall",), ("openat",)),
        PlainRecord("PATH", ("name", "nametype"), ("/etc/passwd", nametype)),
    )
    explained = _explained(_rule(tmp_path, _RECORDS), Event(1001, {"time": 1}, records))
    assert explained.matches == (term is None)
    assert [each.term for each in explained.missing or ()] == ([term] if term else [])
    inner = next(step for step in _steps(explained.tree) if step.kind is Kind.RECORD)
    assert [seen.value for step in _steps(inner) for seen in step.seen] == ["PATH", "/etc/passwd", nametype]
