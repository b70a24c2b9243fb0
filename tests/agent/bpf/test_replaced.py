"""Which audit rules the eBPF sensor stands in for."""

from __future__ import annotations

import pytest

from tocsin.agent.audit.rule_set import BASE_RULES, expand
from tocsin.agent.audit.rules import Rule, compile_line, compile_rules
from tocsin.agent.bpf.replaced import replaces, tells
from tocsin.model.event import Event
from tocsin.normalize.auditd.record import AuditRecord, shared_keys

REPLACED = (
    "-a always,exit -F arch=b64 -S execve,execveat -F success=1 -k exec",
    "-a always,exit -F arch=b32 -S execve -F success=1",
    "-a always,exit -F arch=b64 -S execve -F exit=-EPERM -k exec",
    "-a always,exit -F arch=b64 -S connect -F saddr_fam=inet6 -k other",
)
KEPT = (
    "-a always,exit -F arch=b32 -S execve -F exit=-EPERM",
    "-a always,exit -F arch=b32 -S connect,socketcall -F saddr_fam=inet",
    "-a always,exit -F arch=b64 -S execve -k every",
    "-a always,exit -F arch=b64 -S execve -F exit=-ENOENT",
    "-a always,exit -F arch=b64 -S execve -F success=1 -F uid=0",
    "-a always,exit -F arch=b64 -S execve -C uid!=euid -F success=1",
    "-a always,exit -F arch=b64 -S connect",
    "-a always,exit -F arch=b64 -S connect -F saddr_fam=unix",
    "-a always,exit -F arch=b64 -S connect,sendto -F saddr_fam=inet",
    "-a never,exit -F arch=b64 -S connect -F saddr_fam=inet",
    "-a always,exit -S execve -F success=1",
    "-a always,exclude -F msgtype=PROCTITLE",
    "-w /etc/passwd -p wa",
)


def audited(code: str, arch: str = "c000003e", **values: int | str) -> Event:
    """An event of audit, as `map_event` makes it."""
    record = AuditRecord("SYSCALL", 0, 1, "", shared_keys(("arch",)), [arch])
    named = {path.replace("__", "."): value for path, value in values.items()}
    return Event(1007, {"metadata.event_code": code, **named}, (record,))


def test_what_audit_tells_a_second_time_is_known() -> None:
    """Any program started; native refusals and connections over IP; nothing else."""
    twice = (
        audited("execve", status_id=1),
        audited("execve", arch="40000003", status_id=1),
        audited("execveat", status_id=2, status_code="EACCES"),
        audited("connect", dst_endpoint__ip="::1", status_id=2),
        audited("accept4", src_endpoint__ip="::1", status_id=1),
    )
    once = (
        audited("execve", status_id=2, status_code="ENOENT"),
        audited("execve", arch="40000003", status_id=2, status_code="EPERM"),
        audited("connect", arch="40000003", dst_endpoint__ip="::1", status_id=1),
        audited("connect", dst_endpoint__svc_name="/run/x", status_id=1),
        audited("setuid", status_id=1),
    )
    assert [tells(event, "x86_64") for event in twice] == [True] * 5
    assert [tells(event, "x86_64") for event in once] == [False] * 5


def compiled(line: str) -> Rule:
    """The rule of a line, as it is on x86_64."""
    rule = compile_line(line, "x86_64")
    assert isinstance(rule, Rule)
    return rule


@pytest.mark.parametrize("line", REPLACED)
def test_what_the_sensor_gives_whole_is_not_asked_of_the_kernel_again(line: str) -> None:
    """Every program started, native refusals and connections over IP."""
    assert replaces(compiled(line), "x86_64")


@pytest.mark.parametrize("line", KEPT)
def test_a_rule_that_asks_for_more_or_less_stays(line: str) -> None:
    """32-bit calls, other conditions, other calls, other families, other filters."""
    assert not replaces(compiled(line), "x86_64")


@pytest.mark.parametrize(("machine", "keys"), [("x86_64", {"exec", "network"}), ("aarch64", {"exec", "network"})])
def test_of_the_base_rules_those_for_programs_and_connections_are_replaced(machine: str, keys: set[str]) -> None:
    """Whatever the machine, and none of the others."""
    rules = compile_rules(expand(BASE_RULES.read_text(), [], machine), "base.rules", machine).rules
    assert {rule.text.rpartition("-k ")[2] for rule in rules if replaces(rule, machine)} == keys
