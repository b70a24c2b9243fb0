"""Cases of every source run the way that live events go, and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from audit_lines import Log
from tocsin.detect.quality.case import Outcome, has_cases, run_all_cases
from tocsin.detect.quality.junit import Case, junit_xml
from tocsin.detect.sigma.library import load

_RULE = """\
title: Rule Of {name}
id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d{number}
logsource: {source}
detection:
    selection: {selection}
    condition: selection
"""
_PROCESS = "{product: linux, category: process_creation}"
_TRAIL = {
    "eventVersion": "1.08",
    "eventTime": "2025-01-02T03:04:05Z",
    "eventSource": "iam.amazonaws.com",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "192.0.2.1",
    "userIdentity": {"type": "Root"},
    "recipientAccountId": "123456789012",
    "eventID": "1c0e6a1c-0000-4000-8000-000000000001",
    "eventType": "AwsApiCall",
}


def _write(folder: Path, name: str, source: str, selection: str, number: str = "0a11") -> None:
    (folder / f"{name}.yml").write_text(_RULE.format(name=name, source=source, selection=selection, number=number))


def _run(folder: Path) -> list[Outcome]:
    return run_all_cases(load([folder]).rules)


def _problems(folder: Path) -> list[tuple[str, str]]:
    return [(each.case.name, each.problem) for each in _run(folder)]


def _launched(*exes: str) -> str:
    log = Log()
    for exe in exes:
        log.launch(exe, [exe])
    return "\n".join(line.decode() for line in log.lines)


_OCSF = {"class_uid": 1007, "activity_id": 1, "time": 1, "process": {"file": {"path": "/bin/nc"}}}
_OTHER_OCSF = {"class_uid": 1007, "activity_id": 1, "time": 1, "process": {"file": {"path": "/bin/ls"}}}
_SSH = "Jan  2 03:04:05 host sshd[1]: {} password for root from 192.0.2.1 port 22 ssh2"


@pytest.mark.parametrize(
    ("source", "selection", "ending", "fires", "misses"),
    [
        (_PROCESS, "{Image|endswith: /nc}", "log", _launched("/bin/nc"), _launched("/bin/ls")),
        (_PROCESS, "{Image|endswith: /nc}", "ndjson", {"Image": "/bin/nc"}, {"Image": "/bin/ls"}),
        (_PROCESS, "{Image|endswith: /nc}", "json", _OCSF, _OTHER_OCSF),
        (_PROCESS, "{Image|endswith: /nc}", "ocsf.jsonl", _OCSF, _OTHER_OCSF),
        (
            "{product: aws, service: cloudtrail}",
            "{eventName: DeleteTrail}",
            "json",
            _TRAIL | {"eventName": "DeleteTrail"},
            _TRAIL | {"eventName": "GetTrail"},
        ),
        (
            "{product: linux, service: sshd}",
            "['Failed password']",
            "log",
            _SSH.format("Failed"),
            _SSH.format("Accepted"),
        ),
        (
            "{product: nosuch, service: app}",
            "{user.name: eve}",
            "json",
            {"user": {"name": "eve"}},
            {"user": {"name": "bob"}},
        ),
    ],
)
def test_cases_of_every_source(
    tmp_path: Path, source: str, selection: str, ending: str, fires: object, misses: object
) -> None:
    """A rule of any source fires on its case and not on its near miss; exchanged, both are wrong."""
    _write(tmp_path, "rule", source, selection)
    texts = [each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in (fires, misses)]
    for kind, text in zip(("fires", "misses"), texts, strict=True):
        (tmp_path / f"rule.{kind}.{ending}").write_text(text)
    assert [problem for _, problem in _problems(tmp_path)] == ["", ""]
    for kind, text in zip(("misses", "fires"), texts, strict=True):
        (tmp_path / f"rule.{kind}.{ending}").write_text(text)
    assert [problem for _, problem in _problems(tmp_path)] == [
        "the rule does not fire on any of 1 events",
        "the rule fires on 1 of 1 events",
    ]


def test_a_rule_may_have_many_cases(tmp_path: Path) -> None:
    """Every file is a case of its own; a number tells those of one kind apart."""
    _write(tmp_path, "rule", _PROCESS, "{Image|endswith: /nc}")
    for name, exe in (("fires", "nc"), ("fires.2", "nc"), ("fires.3", "ls"), ("misses", "ls")):
        (tmp_path / f"rule.{name}.json").write_text(f'{{"Image": "/bin/{exe}"}}')
    assert _problems(tmp_path) == [
        ("rule.fires.2.json", ""),
        ("rule.fires.3.json", "the rule does not fire on any of 1 events"),
        ("rule.fires.json", ""),
        ("rule.misses.json", ""),
    ]


def test_a_neighbours_cases_are_not_ones_own(tmp_path: Path) -> None:
    """`rule.yml` and `rule.fires.yml` are different rules with different cases; a pattern in a name is only a name."""
    _write(tmp_path, "rule", _PROCESS, "{Image|endswith: /nc}")
    _write(tmp_path, "rule[1]", _PROCESS, "{Image|endswith: /ls}", "0a12")
    (tmp_path / "rule[1].fires.json").write_text('{"Image": "/bin/ls"}')
    assert [has_cases(rule) for rule in load([tmp_path]).rules] == [False, True]


def test_other_rules_that_fire_are_named(tmp_path: Path) -> None:
    """One engine of all rules runs each case, so that overlaps are seen."""
    _write(tmp_path, "a", _PROCESS, "{Image|endswith: /nc}")
    _write(tmp_path, "b", _PROCESS, "{Image|contains: nc}", "0a12")
    (tmp_path / "a.fires.log").write_text(_launched("/bin/nc"))
    first = _run(tmp_path)[0]
    assert (first.problem, first.also) == ("", ("5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a12",))


def test_a_format_that_there_is_none_of_is_named(tmp_path: Path) -> None:
    """A misspelt format in a case's name is a problem, not another format."""
    _write(tmp_path, "rule", _PROCESS, "{Image|endswith: /nc}")
    (tmp_path / "rule.fires.cloudtrial.json").write_text("{}")
    assert "there is no format 'cloudtrial'" in _problems(tmp_path)[0][1]


def test_junit_is_one_suite_that_counts_failures() -> None:
    """Names, failures and details are where CI systems look for them, whatever characters they hold."""
    text = junit_xml("suite", [Case("good", "group", "a.yml"), Case("<bad>\x00", failure="5 > 3", details="a\nb\x1b")])
    suite = ET.fromstring(text)  # noqa: S314 -- our own text
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("suite", "2", "1")
    good, bad = suite.findall("testcase")
    assert (good.get("classname"), good.get("file"), good.find("failure")) == ("group", "a.yml", None)
    failure = bad.find("failure")
    assert failure is not None
    assert (bad.get("name"), failure.get("message"), failure.text) == ("<bad>", "5 > 3", "a\nb")
