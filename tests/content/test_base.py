"""The Base ruleset: every rule is complete, fires on its recorded case and not on its near miss."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import jsonschema
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content.activity import activities
from tocsin.columnar.frame import Frame, frames
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.quality.case import run_cases
from tocsin.detect.sigma.library import load, ruleset_folder
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.model.schema import attribute
from tocsin.model.wire import ChainPosition, decode_body, decode_envelope, encode_sections, seal, verify
from tocsin.normalize.auditd import read_events
from tocsin.ports import LogEntry

BASE: Final = ruleset_folder("base")
LIBRARY: Final = load([BASE])
NAMES: Final = {rule.id: Path(rule.path).stem for rule in LIBRARY.rules}
_PLACEHOLDER: Final = re.compile(r"\{\{(\S+?)\}\}")
_each_rule: Final = pytest.mark.parametrize("rule", LIBRARY.rules, ids=lambda rule: NAMES[rule.id])


def test_every_file_is_a_rule() -> None:
    """Each file of the ruleset loads, under an id of its own, and there are enough of them."""
    assert LIBRARY.refused == ()
    assert len(LIBRARY.rules) == len(list(BASE.glob("*.yml"))) >= 25


def test_cases_and_rules_belong_together() -> None:
    """Each rule has its two recordings and says how they were made; no recording is left over."""
    expected = {f"{name}.{kind}.log" for name in NAMES.values() for kind in ("fires", "misses")}
    assert {path.name for path in BASE.glob("*.log")} == expected
    assert set(activities()) == set(NAMES.values())


@_each_rule
def test_rule_fires_on_its_case_and_not_on_its_near_miss(rule: Rule) -> None:
    """What the kernel recorded of the behaviour is found, and what comes close to it is not."""
    assert [outcome.problem for outcome in run_cases(rule)] == ["", ""]


@_each_rule
def test_rule_says_all_that_an_alert_needs(rule: Rule) -> None:
    """A person who meets the alert learns what happened, why it matters, what is harmless and what to do."""
    assert all((rule.description, rule.references, rule.false_positives, rule.tags, rule.group_by))
    assert rule.response.startswith("1. ")
    assert "device.uid" in rule.group_by
    paths = _PLACEHOLDER.findall(rule.title_template)
    assert paths
    assert [path for path in (*paths, *rule.group_by) if attribute(path) is None] == []


@_each_rule
def test_title_names_what_happened(rule: Rule) -> None:
    """The template is filled with the recorded event's own values."""
    titles = {finding.title for finding in Engine([rule]).findings(_signed_frames(NAMES[rule.id]))}
    assert titles - {rule.title}
    assert not any("{{" in title for title in titles)


@pytest.mark.data
def test_every_tag_is_a_technique(public_data: Path) -> None:
    """Each ATT&CK tag names a technique that exists for Linux, or a tactic."""
    known = msgspec.json.decode((public_data / "attack" / "techniques.json").read_bytes())
    techniques = {f"attack.{item['id'].lower()}" for item in known if not item["deprecated"]}
    tactics = {f"attack.{tactic}" for item in known for tactic in item["tactics"]}
    assert {tag for rule in LIBRARY.rules for tag in rule.tags} <= techniques | tactics


@pytest.mark.data
@_each_rule
def test_rule_is_sigma_for_every_tool(rule: Rule, public_data: Path) -> None:
    """Each file is valid by the Sigma specification's own schema, our additions aside."""
    schema = msgspec.json.decode((public_data / "sigma-spec/json-schema/sigma-detection-rule-schema.json").read_bytes())
    content = msgspec.yaml.decode(Path(rule.path).read_bytes())
    plain = msgspec.json.decode(msgspec.json.encode(content))
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(plain)] == []


def _signed_frames(name: str) -> dict[int, Frame]:
    """A firing case as it reaches detection from an agent: sealed, verified, decoded, gathered."""
    with (BASE / f"{name}.fires.log").open("rb") as lines:
        events = [event for event in read_events(lines) if isinstance(event, Event)]
    key = Ed25519PrivateKey.generate()
    position = ChainPosition("org", "agent", "boot", 1, 0, b"")
    data, _ = seal(encode_sections(events), position, key, created_at=1)
    envelope, header = decode_envelope(data)
    verify(envelope, key.public_key())
    return frames([(LogEntry(0, 0, "org", "agent", 1, 0, 1, data), header, decode_body(envelope, header))])


def test_every_rule_is_documented() -> None:
    """docs/rules-base.md names each rule with its level, and no other."""
    text = (Path(__file__).parents[2] / "docs" / "rules-base.md").read_text()
    listed = re.findall(r"^\| \[(.+)\]\(\S+/(\S+)\.yml\) \| (\w+) \|", text, flags=re.MULTILINE)
    assert sorted(listed) == sorted((rule.title, NAMES[rule.id], rule.level) for rule in LIBRARY.rules)
