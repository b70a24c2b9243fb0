"""Public rules on logs of real attacks, which nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.replay import raw_events, replay
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.normalize import cloudtrail
from tocsin.normalize.auditd import read_events


def _titles(rules: Iterable[Rule], events: Iterable[object]) -> set[str]:
    return {finding.rule_title for finding in replay(Engine(rules), _events(events))}


def _events(items: Iterable[object]) -> Iterator[Event]:
    return (item for item in items if isinstance(item, Event))


@pytest.mark.data
def test_linux_rules_fire_on_recorded_attacks(sigma_rules: list[Rule], public_data: Path) -> None:
    """Two attack atomics as auditd logged them are found for what they are."""
    found = {}
    for log in sorted((public_data / "audit" / "otrf").rglob("*.log")):
        with log.open("rb") as lines:
            found[log.name.partition("_20")[0]] = _titles(sigma_rules, read_events(lines))
    assert "Binary Padding - Linux" in found["sh_binary_padding_dd"]
    assert "Linux Remote System Discovery" in found["sh_arp_cache"]


@pytest.mark.data
def test_cloudtrail_rules_fire_on_detonated_techniques(sigma_rules: list[Rule], public_data: Path) -> None:
    """Of 22 techniques detonated in a real account, the public rules find at least the 11 that they are about."""
    rules = [rule for rule in sigma_rules if rule.logsource.product == "aws"]
    found: dict[str, set[str]] = {}
    for line in (public_data / "cloudtrail" / "stratus" / "detonations.jsonl").read_bytes().splitlines():
        detonation = msgspec.json.decode(line)
        found[detonation["technique"]] = _titles(rules, map(cloudtrail.normalize, detonation["events"]))
    assert len(found) == 22
    assert sum(map(bool, found.values())) >= 11
    assert "AWS VPC Flow Logs Deleted" in found["aws.defense-evasion.vpc-remove-flow-logs"]
    assert "AWS IAM Backdoor Users Keys" in found["aws.persistence.iam-backdoor-user"]
    expected = "AWS Successful Console Login Without MFA"
    assert expected in found["aws.initial-access.console-login-without-mfa"]


@pytest.mark.slow
@pytest.mark.data
def test_all_public_rules_run_on_events_in_their_own_terms(public_data: Path) -> None:
    """3,399 of 3,401 of all products load, two lack a placeholder's values; the right ones fire among thousands."""
    library = load([public_data / "sigma"], RAW)
    assert len(library.rules) == 3399
    assert ["placeholder" in error.reason for error in library.refused] == [True, True]
    line = {"EventID": 1, "Image": "C:\\x\\rundll32.exe", "CommandLine": "rundll32.exe C:\\Users\\Public\\a.dll,x"}
    events = _events(raw_events([msgspec.json.encode(line), b"no JSON"]))
    titles = {finding.rule_title for finding in replay(Engine(library.rules), events)}
    assert "System File Execution Location Anomaly" in titles
    assert len(titles) < 10
