"""`tocsin rules run` on files of events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tocsin.cli.app import main

_FAILED = (
    "Nov 23 10:00:{second:02} web1 sshd[{second}]: Failed password for root from 203.0.113.9 port 4{second} ssh2\n"
)
_ACCEPTED = "Nov 23 10:00:{second:02} web1 sshd[{second}]: Accepted password for root from 203.0.113.9 port 4 ssh2\n"
_LOG = "".join([*(_FAILED.format(second=second) for second in (11, 15, 19, 23)), _ACCEPTED.format(second=30)])
_RULES = """\
title: Failed login
name: failed_login
id: 5f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d01
logsource: {product: linux, service: sshd}
detection: {words: ['Failed password'], condition: words}
---
title: Login
name: login
id: 5f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d02
logsource: {product: linux, service: sshd}
detection: {words: ['Accepted password'], condition: words}
---
title: Many failed logins
name: many_failed
id: 5f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d03
correlation: {type: event_count, rules: [failed_login], timespan: 10m, condition: {gte: 4}}
---
title: Guessed password
id: 5f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d04
correlation: {type: temporal_ordered, rules: [many_failed, login], timespan: 10m}
level: high
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A file of two rules and two correlations, one of them over the other."""
    path = tmp_path / "rules.yml"
    path.write_text(_RULES)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Four failed logins and one that succeeds."""
    path = tmp_path / "auth.log"
    path.write_text(_LOG)
    return path


def _titles(out: str) -> list[str]:
    return [json.loads(line)["rule_title"] for line in out.splitlines()]


def test_correlations_run_and_what_they_name_is_silent(
    rules: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guessed password is one alert of five events; neither the single matches nor the inner count are told."""
    assert main(["rules", "run", "--rules", str(rules), "--source", "syslog", str(log)]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["rule_title"] for each in found} == {"Guessed password"}
    assert sorted(each["event"]["actor"]["process"]["pid"] for each in found) == [11, 15, 19, 23, 30]
    assert {each["level"] for each in found} == {"high"}


def test_what_asks_to_be_told_is_told(rules: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`generate: true` of a correlation lets the rules that it names speak; below its limit it says nothing."""
    rules.write_text(_RULES.replace("condition: {gte: 4}", "condition: {gte: 5}, generate: true"))
    assert main(["rules", "run", "--rules", str(rules), "--source", "syslog", str(log)]) == 0
    assert _titles(capsys.readouterr().out) == ["Failed login"] * 4
