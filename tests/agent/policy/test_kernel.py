"""Exclusions as rules of the kernel's audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.rules import Rule, compile_line
from tocsin.agent.audit.session import AuditSession, Limits
from tocsin.agent.policy.document import Exclusion, Handling, Policy
from tocsin.agent.policy.kernel import kernel_rules

NETWORK = 4001


def nobody(_name: str) -> str | None:
    return None


def lines(policy: Policy) -> list[str]:
    return [rule.text for rule in kernel_rules(policy, {"www": "33"}.get, "aarch64") if "arch=b64" in rule.text]


def test_what_the_kernel_can_ask_becomes_a_rule() -> None:
    """Executables and users of connections: each executable with each user, since both must fit."""
    policy = Policy(exclude=(Exclusion(exe=("/bin/a", "/bin/b c"), user=("www", "7")),))
    calls = "-S connect,bind,accept,accept4"
    assert lines(policy) == [
        f'-A never,exit -F arch=b64 {calls} -F "exe={exe}" -F uid={uid} -k tocsin-policy'
        for exe in ("/bin/a", "/bin/b c")
        for uid in ("33", "7")
    ]


@pytest.mark.parametrize(
    "policy",
    [
        Policy(exclude=(Exclusion(exe=("/opt/*",)),)),
        Policy(exclude=(Exclusion(exe=("/bin/a",), cidr=("10.0.0.0/8",)),)),
        Policy(exclude=(Exclusion(exe=("/bin/a",), path=("/etc/x",)),)),
        Policy(exclude=(Exclusion(user=("nobody-here",)),)),
        Policy(events={(NETWORK, 7): Handling(exclude=(Exclusion(exe=("/bin/a",)),))}),
        Policy(events={(1007, None): Handling(exclude=(Exclusion(exe=("/bin/a",)),))}),
        Policy(events={(NETWORK, None): Handling(sample=10)}),
    ],
)
def test_what_the_kernel_cannot_ask_exactly_is_left_to_the_agent(policy: Policy) -> None:
    """A rule that would leave out more than the policy says is never made."""
    assert lines(policy) == []


def test_rules_name_nothing_but_connections() -> None:
    """No rule can touch a launch, a file, or the opening of a packet socket."""
    (rule,) = kernel_rules(Policy(exclude=(Exclusion(exe=("/bin/a",)),)), nobody, "aarch64")[:1]
    only = compile_line("-a never,exit -F arch=b64 -S connect,bind,accept,accept4", "aarch64")
    assert isinstance(only, Rule)
    assert rule.mask == only.mask
    assert sum(word.bit_count() for word in rule.mask) == 4


@pytest.mark.root
def test_rules_come_before_all_others_and_are_exchanged(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """Those of the policy before come away, and the kernel is left as it was found."""
    before = kernel_audit.rules()
    recording = compile_line("-a always,exit -F arch=b64 -S connect -k tocsin-test")
    assert isinstance(recording, Rule)
    first = kernel_rules(Policy(exclude=(Exclusion(exe=("/bin/true",)),)), nobody)
    second = kernel_rules(Policy(exclude=(Exclusion(exe=("/bin/false",)), Exclusion(user=("7",)))), nobody)
    session = AuditSession.start(tmp_path, Limits())
    try:
        session.load([recording])
        assert session.exclude(first) == len(first) > 0
        loaded = kernel_audit.rules()
        assert [b"tocsin-policy" in rule for rule in loaded if rule not in before][-1] is False
        assert b"tocsin-policy" in loaded[0]
        assert session.exclude(second) == len(second) == 2 * len(first)
        assert session.exclude(second) == len(second)
        now = [rule for rule in kernel_audit.rules() if b"tocsin-policy" in rule]
        assert len(now) == len(second)
        assert not any(b"/bin/true" in rule for rule in now)
        assert session.exclusions_changed == 2 * len(first) + len(second)
    finally:
        session.stop()
    assert kernel_audit.rules() == before


@pytest.mark.root
def test_rules_of_an_agent_that_was_killed_are_exchanged_too(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """The next agent knows them, and those that its policy does not say come away."""
    before = kernel_audit.rules()
    killed = AuditSession.start(tmp_path, Limits())
    assert killed.exclude(kernel_rules(Policy(exclude=(Exclusion(exe=("/bin/true",)),)), nobody)) > 0
    killed.receiver.close()
    killed.control.close()
    session = AuditSession.start(tmp_path, Limits())
    try:
        assert session.exclude([]) == 0
        assert kernel_audit.rules() == before
    finally:
        session.stop()


@pytest.mark.root
def test_a_rule_whose_folder_does_not_exist_is_left_out(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """The agent leaves out what the kernel cannot yet."""
    before = kernel_audit.rules()
    rules = kernel_rules(Policy(exclude=(Exclusion(exe=("/no/such/folder/program",)),)), nobody)
    session = AuditSession.start(tmp_path, Limits())
    try:
        assert session.exclude(rules) == 0
    finally:
        session.stop()
    assert kernel_audit.rules() == before
