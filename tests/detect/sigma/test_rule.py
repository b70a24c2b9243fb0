"""Sigma files become rules: what a term means, and what an error says."""

from __future__ import annotations

from collections import Counter

import pytest

from tocsin.detect.evaluate.naive import holds
from tocsin.detect.sigma.document import Document, documents
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.errors import InvalidRule
from tocsin.model.event import Event
from tocsin.model.rule import LogSource, Rule
from tocsin.model.wire import PlainRecord

_HEAD = "title: Test\nid: 00000000-0000-4000-8000-000000000001\n"
_PROCESS = "logsource: {product: linux, category: process_creation}\n"
_AUDITD = "logsource: {product: linux, service: auditd}\n"
_CLOUDTRAIL = "logsource: {product: aws, service: cloudtrail}\n"


def _rule(text: str) -> Rule:
    (document,) = documents(_HEAD + text, "test.yml")
    return load_rule(document)


def _fires(rule: Rule, event: Event) -> bool:
    return event.class_uid in rule.class_uids and holds(rule.condition, event)


def _launch(**attributes: str) -> Event:
    values = {f"process.{name.replace('__', '.')}": value for name, value in attributes.items()}
    return Event(1007, {"time": 1, "activity_id": 1, **values})


def _audit(*records: tuple[str, dict[str, str]]) -> Event:
    made = tuple(PlainRecord(kind, tuple(fields), tuple(fields.values())) for kind, fields in records)
    return Event(0, {"time": 1}, made)


@pytest.mark.data
def test_every_public_rule_of_our_products_loads(sigma_documents: list[Document], sigma_rules: list[Rule]) -> None:
    """All 321 rules for linux, aws and kubernetes load, none dropped."""
    products = Counter(rule.logsource.product for rule in sigma_rules)
    assert products == {"linux": 248, "aws": 57, "kubernetes": 16}
    assert len(sigma_rules) == len(sigma_documents) == 321


@pytest.mark.parametrize(
    ("term", "cmd_line", "fires"),
    [
        ("CommandLine: 'nc -l'", "NC -L", True),
        ("CommandLine|cased: 'nc -l'", "NC -l", False),
        ("CommandLine: 'a*c'", "abbc", True),
        ("CommandLine: 'a?c'", "abbc", False),
        (r"CommandLine: 'a\*c'", "abc", False),
        (r"CommandLine: 'a\*c'", "a*c", True),
        (r"CommandLine|endswith: '\\tmp'", r"c\tmp", True),
        ("CommandLine|contains|all: ['-a', '-b']", "x -b -a", True),
        ("CommandLine|contains|all: ['-a', '-b']", "x -b", False),
        ("CommandLine|re: '^a.c$'", "abc", True),
        ("CommandLine|re: '^a.c$'", "ABC", False),
        ("CommandLine|re|i: '^a.c$'", "ABC", True),
        ("CommandLine|windash|contains: '-e'", "x /e y", True),
        ("CommandLine|base64offset|contains: 'hello'", "echo aGVsbG8K", True),
        ("CommandLine: 7", "7.0", True),
        ("CommandLine|gt: 7", "8", True),
        ("CommandLine|gt: 7", "x8", False),
        ("CommandLine: null", "x", False),
        ("CommandLine: ''", "", True),
        ("CommandLine|exists: true", "", True),
        ("CommandLine|cidr: '10.0.0.0/8'", "10.1.2.3", True),
        ("CommandLine|fieldref: Image", "/bin/x", True),
        ("process.cmd_line|contains: 'x'", "axb", True),
    ],
)
def test_a_term_means_this(term: str, cmd_line: str, fires: bool) -> None:  # noqa: FBT001 - a column of the table above
    """Modifiers, wildcards, escapes, numbers, null and references, each on one command line."""
    rule = _rule(f"{_PROCESS}detection: {{s: {{{term}}}, condition: s}}\n")
    assert _fires(rule, _launch(cmd_line=cmd_line, file__path="/bin/x")) is fires


def test_a_missing_field_is_null_and_not_makes_it_hold() -> None:
    """Null holds where the field is missing, and so does the opposite of any term on it."""
    assert _fires(_rule(f"{_PROCESS}detection: {{s: {{CommandLine: null}}, condition: s}}\n"), _launch(name="x"))
    negated = f"{_PROCESS}detection: {{s: {{Image: /x}}, f: {{CommandLine: y}}, condition: s and not f}}\n"
    assert _fires(_rule(negated), _launch(file__path="/x"))


def test_a_selection_holds_within_one_record() -> None:
    """An EXECVE's a0 is not a SYSCALL's a0; two selections may hold in two records."""
    one = _rule(f"{_AUDITD}detection: {{s: {{type: EXECVE, a0: nc}}, condition: s}}\n")
    assert _fires(one, _audit(("SYSCALL", {"a0": "1"}), ("EXECVE", {"a0": "nc"})))
    assert not _fires(one, _audit(("SYSCALL", {"a0": "nc"}), ("EXECVE", {"a0": "ls"})))
    two = _rule(f"{_AUDITD}detection: {{s: {{type: EXECVE}}, t: {{type: PATH}}, condition: s and t}}\n")
    assert _fires(two, _audit(("EXECVE", {"a0": "x"}), ("PATH", {"name": "y"})))


def test_keywords_hold_within_one_record_of_auditd() -> None:
    """All keywords of a selection must be in the same record, in any of its fields."""
    rule = _rule(f"{_AUDITD}detection: {{k: {{'|all': [grep, password]}}, condition: k}}\n")
    assert _fires(rule, _audit(("EXECVE", {"a0": "grep", "a1": "Passwords"})))
    assert not _fires(rule, _audit(("EXECVE", {"a0": "grep"}), ("CWD", {"cwd": "/password"})))


@pytest.mark.parametrize(
    ("arch", "number", "fires"),
    [("c000003e", "319", True), ("c00000b7", "279", True), ("c000003e", "279", False), ("40000003", "319", False)],
)
def test_a_system_call_is_named_by_its_architecture(arch: str, number: str, fires: bool) -> None:  # noqa: FBT001
    """Rules say memfd_create; the kernel prints a number that means something else elsewhere."""
    rule = _rule(f"{_AUDITD}detection: {{s: {{type: SYSCALL, SYSCALL: memfd_create}}, condition: s}}\n")
    assert _fires(rule, _audit(("SYSCALL", {"arch": arch, "syscall": number}))) is fires


def test_paths_of_an_original_run_through_lists_and_objects() -> None:
    """A term on a JSON path holds for any element of a list; an object's text is its JSON."""
    rule = _rule(
        f"{_CLOUDTRAIL}detection:\n  s:\n    requestParameters.c.command|contains: CRED\n"
        "    requestParameters|contains: '\"n\":7'\n    requestParameters.on: 'false'\n  condition: s\n"
    )
    source = '{"requestParameters":{"c":[{"command":["a","$CRED"]},{"command":[]}],"n":7,"on":false}}'
    event = Event(6003, {"time": 1, "metadata.log_name": "cloudtrail", "unmapped.source": source})
    assert _fires(rule, event)
    event.values["metadata.log_name"] = "k8s-audit"
    assert not _fires(rule, event)


def test_values_that_are_named_differently_are_translated() -> None:
    """Initiated: "true" is a direction in our events."""
    text = "logsource: {product: linux, category: network_connection}\n"
    rule = _rule(f"{text}detection: {{s: {{Initiated: 'true', DestinationPort: [80, 443]}}, condition: s}}\n")
    values: dict[str, str | int] = {"time": 1, "activity_id": 1, "dst_endpoint.port": 443}
    assert _fires(rule, Event(4001, {**values, "connection_info.direction_id": 2}))
    assert not _fires(rule, Event(4001, {**values, "connection_info.direction_id": 1}))


def test_what_the_file_says_about_the_rule_is_kept() -> None:
    """Metadata, Tocsin's own additions, and where everything stands."""
    rule = _rule(
        f"{_PROCESS}level: high\ntags: [attack.t1059.004]\nfalsepositives: [admins]\n"
        "tocsin: {title: '{{process.name}} ran', group_by: [device.uid, process.name], window: 4h, response: Look}\n"
        "detection:\n  s: {Image: /x}\n  condition: s\n"
    )
    assert (rule.level, rule.tags, rule.false_positives) == ("high", ("attack.t1059.004",), ("admins",))
    assert (rule.title_template, rule.response) == ("{{process.name}} ran", "Look")
    assert (rule.group_by, rule.window_ms) == (("device.uid", "process.name"), 4 * 3_600_000)
    assert rule.logsource == LogSource("linux", "process_creation")
    assert (rule.path, rule.line, dict(rule.lines)) == ("test.yml", 1, {"s": 9, "condition": 10})


def test_all_that_is_wrong_under_tocsin_is_said_at_once() -> None:
    """Every key and value that means nothing is named, in words, so that one round of mending is enough."""
    said = "{titel: a, window: soon, tags: {include: web}, threshold: 0, noise_budget: many, group_by: [a], ruleset: b}"
    with pytest.raises(InvalidRule) as refused:
        _rule(f"{_PROCESS}tocsin: {said}\ndetection:\n  s: {{a: b}}\n  condition: s\n")
    assert refused.value.reason == (
        "tocsin: titel is no key of it (did you mean title?); "
        "window 'soon' must be a number and s, m, h or d, e.g. 4h; "
        "tags.include must be a list, not text; "
        "threshold 0 must be at least 1; "
        "noise_budget 'many' must be alerts a day, e.g. 20/d"
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (f"{_PROCESS}detection:\n  s: {{Image: /x}}\n  condition: t\n", 6, "selection 't'"),
        (f"{_PROCESS}detection:\n  s: {{Image|nosuch: /x}}\n  condition: s\n", 4, "modifier"),
        (f"{_PROCESS}detection:\n  s: {{Image|re: '(?=x)'}}\n  condition: s\n", 4, "egular expression"),
        (f"{_PROCESS}tocsin: {{window: soon}}\ndetection:\n  s: {{a: b}}\n  condition: s\n", 4, "window 'soon'"),
        (f"{_PROCESS}tocsin: {{nosuch: 1}}\ndetection:\n  s: {{a: b}}\n  condition: s\n", 4, "tocsin: .*nosuch"),
        (f"{_PROCESS}detection: [\n", 5, "not YAML"),
        (f"{_PROCESS}correlation: {{}}\n", 4, "detection"),
    ],
)
def test_an_unusable_rule_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    """The error names file and line, and what is wrong in words."""
    with pytest.raises(InvalidRule, match=words) as refused:
        _rule(text)
    assert (refused.value.path, refused.value.line) == ("test.yml", line)
