"""The agent takes the kernel's audit and gives it back as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.netlink import KernelRefused, Record
from tocsin.agent.audit.rule_set import BASE_RULES, login_homes, read_rules
from tocsin.agent.audit.rules import compile_rules
from tocsin.agent.audit.session import AuditSession, Limits

pytestmark = pytest.mark.root

# Takes the audit, loads our rules and waits to be killed.
HOLDER = """
import sys, time, pathlib
from tocsin.agent.audit.rule_set import BASE_RULES, read_rules
from tocsin.agent.audit.session import AuditSession, Limits
session = AuditSession.start(pathlib.Path(sys.argv[1]), Limits())
session.load(read_rules([BASE_RULES], ["/root"]).rules)
print("held", flush=True)
time.sleep(60)
"""


def _receive_until(session: AuditSession, needle: bytes, timeout_s: float = 5) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and not any(needle in text for _, text in records):
        records += session.receiver.receive(0.1)
    return records


def test_our_rules_are_taken_by_this_kernel_and_removed_again(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """The kernel refuses none of our rules, lists them back, records an exec, and is as before afterwards."""
    rules = read_rules([BASE_RULES], login_homes()).rules
    session = AuditSession.start(tmp_path, Limits(backlog_wait_jiffies=77))
    try:
        count = session.load(rules)
        assert session.owner
        assert session.refused == []
        assert count + len(session.absent) == len(rules)
        listed = kernel_audit.rules()
        assert {rule.pack() for rule in rules} >= set(listed)
        assert len(listed) == count
        status = kernel_audit.status()
        assert (status.pid, status.enabled, status.backlog_wait_time) == (os.getpid(), 1, 77)
        subprocess.run(["/bin/true", "tocsin-session-test"], check=True)
        records = _receive_until(session, b"tocsin-session-test")
        kinds = {kind for kind, text in records if b"tocsin-session-test" in text}
        assert kinds == {1309}  # EXECVE; no PROCTITLE, which our rules exclude
    finally:
        session.stop()


def test_rules_of_others_stay(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """A rule that was loaded before is neither added again nor removed, even if it is one of ours."""
    ours = read_rules([BASE_RULES], []).rules
    theirs = ours[5].pack()
    kernel_audit.add_rule(theirs)
    try:
        session = AuditSession.start(tmp_path, Limits())
        try:
            assert session.load(ours) == len(ours) - 1 - len(session.absent)
        finally:
            session.stop()
        assert kernel_audit.rules() == [theirs]
    finally:
        kernel_audit.delete_rule(theirs)


def test_a_second_agent_listens_and_changes_nothing(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """While another daemon owns the socket, records arrive by multicast, and no rule is loaded."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        before = kernel_audit.rules()
        (tmp_path / "second").mkdir()
        session = AuditSession.start(tmp_path / "second", Limits())
        try:
            assert not session.owner
            assert session.load(read_rules([BASE_RULES], []).rules) == 0
            subprocess.run(["/bin/true", "tocsin-listen-test"], check=True)
            records = _receive_until(session, b"tocsin-listen-test")
            assert any(kind == 1309 and b"tocsin-listen-test" in text for kind, text in records)
            assert kernel_audit.rules() == before
        finally:
            session.stop()
    finally:
        holder.kill()
        holder.communicate()
    AuditSession.start(tmp_path, Limits()).stop()


def test_after_a_kill_the_next_agent_restores_what_the_first_one_found(
    kernel_audit: AuditControl, tmp_path: Path
) -> None:
    """SIGKILL leaves rules and a stale owner behind; the next agent takes over, and its stop removes them."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    left = len(kernel_audit.rules())
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert left > 20
    session = AuditSession.start(tmp_path, Limits())
    try:
        assert session.owner
        assert len(kernel_audit.rules()) == left
        assert session.load(read_rules([BASE_RULES], ["/root"]).rules) == left
    finally:
        session.stop()


def test_the_kernels_refusal_says_what_was_asked(kernel_audit: AuditControl) -> None:
    """Deleting a rule that is not there names the request and the reason."""
    with pytest.raises(KernelRefused, match="refused to delete the rule: No such file"):
        kernel_audit.delete_rule(read_rules([BASE_RULES], []).rules[0].pack())


def test_the_kernel_is_not_asked_for_rules_whose_folder_is_missing(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """They wait without a word of the kernel, which tells of each refusal, and are loaded once it is there."""
    wanted = tmp_path / "later"
    rules = compile_rules(
        f"-w {wanted}/file -p wa -k waits\n-a always,exit -S mkdirat -F dir={wanted}\n", "later"
    ).rules
    session = AuditSession.start(tmp_path, Limits())
    try:
        session.load([])  # switches auditing on
        session.receiver.drain()
        assert session.load(rules) == 0
        assert len(session.absent) == len(rules)
        assert not [text for _, text in session.receiver.receive(0.5) if b"op=add_rule" in text]
        wanted.mkdir()
        assert session.load(rules) == len(rules)
    finally:
        session.stop()
    assert kernel_audit.rules() == []
