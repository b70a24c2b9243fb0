"""What Sigma's log sources mean: the mappings that come with Tocsin, and the one for what has none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from event_frames import frames_of
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.quality.check import Severity, check
from tocsin.detect.sigma.document import documents
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import Mapping, find_mapping, mappings
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.condition import Scope, field_at
from tocsin.model.event import Event, Value
from tocsin.model.rule import LogSource, Rule
from tocsin.model.schema import CLASSES


@pytest.mark.parametrize("mapping", mappings(), ids=lambda each: f"{each.product}-{each.category}-{each.service}")
def test_a_mapping_names_attributes_that_its_classes_have(mapping: Mapping) -> None:
    """Fields, guards and groups: each attribute occurs in some class that the rules are applied to."""
    paths = [path for paths in mapping.fields.values() for path in paths]
    named = [path for path in paths if field_at(path).scope is Scope.ATTRIBUTE]
    for path in (*named, *mapping.where, *mapping.unless, *mapping.group_by):
        assert any(path in CLASSES[class_uid].paths for class_uid in mapping.classes), path
    assert set(mapping.unfilled) <= mapping.fields.keys()


def test_a_log_source_is_mapped_once() -> None:
    """No second mapping lies behind one for the same log source, where it would never be found."""
    sources = [(each.product, each.category, each.service) for each in mappings()]
    assert len(sources) == len(set(sources))


def _rule(source: str, detection: str = "{eventType: user.lock}") -> Rule:
    (document,) = documents(
        f"title: t\nlogsource: {{{source}}}\ndetection:\n  s: {detection}\n  condition: s\n", "rule.yml"
    )
    return load_rule(document)


def _fires(rule: Rule, log_name: str, **original: str) -> bool:
    values: dict[str, Value] = {"time": 1, "unmapped.source": msgspec.json.encode(original).decode()}
    named: dict[str, Value] = {"metadata.log_name": log_name} if log_name else {}
    return bool(Engine([rule]).findings(frames_of([Event(0, {**values, **named})])))


@pytest.mark.parametrize(("log_name", "fires"), [("okta", True), ("", True), ("github", False), ("windows", False)])
def test_a_rule_without_a_source_of_its_own_looks_at_originals(log_name: str, *, fires: bool) -> None:
    """Its fields are paths of the original; events that name another log are not its events."""
    rule = _rule("product: okta, service: okta")
    assert find_mapping(rule.logsource).unsourced
    assert _fires(rule, log_name, eventType="user.lock") is fires
    assert not _fires(rule, log_name, eventType="user.unlock")


def test_rules_for_linux_never_meet_events_of_windows() -> None:
    """The same attributes, another operating system: the guard keeps the rule out."""
    rule = _rule("product: linux, category: process_creation", "{Image|endswith: nc}")
    values: dict[str, Value] = {"time": 1, "activity_id": 1, "process.file.path": "/bin/nc"}
    engine = Engine([rule])
    assert engine.findings(frames_of([Event(1007, {**values, "device.os.type_id": 200})]))
    assert engine.findings(frames_of([Event(1007, {**values})]))
    assert not engine.findings(frames_of([Event(1007, {**values, "device.os.type_id": 100})]))


def test_rules_for_windows_need_an_event_of_windows() -> None:
    """An event that does not name its system is none of theirs."""
    rule = _rule("product: windows, category: process_creation", "{Image|endswith: nc.exe}")
    values: dict[str, Value] = {"time": 1, "activity_id": 1, "process.file.path": "C:\\nc.exe"}
    engine = Engine([rule])
    assert engine.findings(frames_of([Event(1007, {**values, "device.os.type_id": 100})]))
    assert not engine.findings(frames_of([Event(1007, {**values})]))


@pytest.mark.data
@pytest.mark.slow  # compiles all of them
def test_all_public_rules_load(public_data: Path) -> None:
    """Every log source compiles; what is refused lacks the values of a placeholder."""
    library = load([public_data / "sigma"])
    assert len(library.rules) + len(library.refused) == 3401
    assert all("placeholder" in error.reason for error in library.refused)
    unsourced = {str(rule.logsource) for rule in library.rules if find_mapping(rule.logsource).unsourced}
    assert "okta/*/okta" in unsourced
    ours = {source for source in unsourced if source.startswith(("windows", "linux", "aws", "kubernetes"))}
    assert ours == {"windows/file_rename/*"}


def test_a_service_beats_what_the_product_says() -> None:
    """The first that fits is taken: the service's own classes, not the product's."""
    assert find_mapping(LogSource("linux", "", "sshd")).classes != find_mapping(LogSource("linux")).classes


def test_check_says_that_a_log_source_has_no_source_yet(tmp_path: Path) -> None:
    """A warning at the line of the log source: the rule loads, and may wait for long."""
    text = "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: okta, service: okta}\n"
    (tmp_path / "a.yml").write_text(f"{text}detection:\n  s: {{eventType: user.lock}}\n  condition: s\n")
    (problem,) = check([tmp_path])
    assert (problem.line, problem.severity) == (3, Severity.WARNING)
    assert problem.text == "no source of this kind yet: okta/*/okta"
