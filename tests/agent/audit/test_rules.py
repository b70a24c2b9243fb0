"""auditctl's rules become the kernel's bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tocsin.agent.audit.rules import Rule, Setting, compile_line, compile_rules
from tocsin.model.errors import InvalidRule

# A golden file that was made on another machine than x86_64 says so in its first line; none of its rules names an arch.
MACHINE = "x86_64"


@dataclass
class Golden:
    flags: str
    bytes: bytes


def _goldens(path: Path) -> list[Golden]:
    return [Golden(rule["flags"], rule["bytes"]) for rule in yaml.safe_load(path.read_text())["rules"]]


def _padded(rule: bytes) -> bytes:
    """As a netlink message carries it."""
    return rule + bytes(-len(rule) % 4)


@pytest.mark.data
def test_rules_become_the_bytes_that_auditctl_sends(public_data: Path) -> None:
    """Every rule that auditctl's own bytes are known for compiles to the same bytes."""
    files = sorted((public_data / "audit/go-libaudit/rule").glob("*.golden.yml"))
    rules = [golden for path in files for golden in _goldens(path)]
    assert len(files) == 12
    assert len(rules) >= 100
    for golden in rules:
        rule = compile_line(golden.flags, MACHINE)
        assert isinstance(rule, Rule)
        assert _padded(rule.pack()) == golden.bytes, golden.flags


@pytest.mark.data
def test_rule_structures_equal_a_peers(public_data: Path) -> None:
    """The structures that go-libaudit keeps, without padding, come out equal."""
    for golden in _goldens(public_data / "audit/go-libaudit/rule/rule_data.yml"):
        rule = compile_line(golden.flags, MACHINE)
        assert isinstance(rule, Rule)
        assert rule.pack() == golden.bytes, golden.flags


@pytest.mark.data
def test_a_widely_used_rule_set_loads_or_says_why(public_data: Path) -> None:
    """Of the public rule set, each line compiles or is refused for what is wrong with that line."""
    path = public_data / "audit/neo23x0-rules/audit.rules"
    rules = compile_rules(path.read_text(), "audit.rules", MACHINE)
    reasons = {str(error).split(":", 2)[2].strip() for error in rules.invalid}
    assert reasons <= {
        "chrony is not a known user on this host",
        "ntp is not a known user on this host",
        "T1078_Valid_Accounts lacks its value or its option",
        "+ is not an absolute path",
    }
    assert all(error.path == "audit.rules" and error.line for error in rules.invalid)
    assert len(rules.rules) > 350
    assert {s.name: s.value for s in rules.entries if isinstance(s, Setting)} == {
        "delete_all": 1,
        "backlog_limit": 8192,
        "failure": 1,
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-a always,exit -F colour=red", "colour is not a field"),
        ("-a always,exit -F arch=b64 -S no_such_call", "no_such_call is not a known system call"),
        ("-a always,exit -F uid", "uid has no operator"),
        ("-a always,exit -F uid=nobody_of_this_name", "not a known user"),
        ("-a always -S open", "does not name one list and one action"),
        ("-a always,user -F success=1", "use the exit list"),
        ("-a always,exit -F arch=b64 -S open -k", "-k lacks its value"),
        ("-w etc/passwd -p wa", "not an absolute path"),
        ("-w /etc/passwd -p q", "not permissions"),
        ("-a always,exit -C uid!=pid", "not a comparison"),
        ("-b lots", "lots is not a number"),
        ("-a always,exit -F key='x", "cannot be read"),
        ("-R /etc/other.rules", "-R is not an option"),
        (f"-a always,exit -k {'k' * 257}", "256 bytes"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(line: str, reason: str) -> None:
    """A rule that cannot be used is refused with the word that is wrong."""
    with pytest.raises(InvalidRule, match=reason):
        compile_line(line, MACHINE)


def test_one_bad_line_costs_only_itself() -> None:
    """The error names file and line; the other rules compile."""
    rules = compile_rules("# ours\n-w /etc/passwd -p wa\n-a nonsense\n-b 100\n", "/etc/x.rules", MACHINE)
    assert [str(error) for error in rules.invalid] == [
        "/etc/x.rules:3: nonsense does not name one list and one action, such as always,exit"
    ]
    assert len(rules.rules) == 1
    assert rules.entries[1] == Setting("backlog_limit", 100)


def test_system_calls_of_other_architectures_are_left_out() -> None:
    """`open` does not exist on arm64: the rule keeps the system calls that do."""
    both = compile_line("-a always,exit -F arch=b64 -S open,openat", "aarch64")
    only = compile_line("-a always,exit -F arch=b64 -S openat", "aarch64")
    assert isinstance(both, Rule)
    assert isinstance(only, Rule)
    assert both.mask == only.mask
    with pytest.raises(InvalidRule, match="aarch64 has none of the system calls open"):
        compile_line("-a always,exit -F arch=b64 -S open", "aarch64")
