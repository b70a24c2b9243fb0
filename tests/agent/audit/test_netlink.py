"""Records from the real kernel, whole and counted."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.netlink import AuditReceiver, KernelRefused, SocketOwned
from tocsin.agent.audit.rule_set import BASE_RULES, read_rules
from tocsin.agent.audit.session import AuditSession, Limits
from tocsin.model.errors import NotAllowed
from tocsin.normalize.auditd.parse import parse_kernel
from tocsin.normalize.auditd.reassemble import Reassembler

pytestmark = pytest.mark.root

NOBODY = 65_534


def _flood(count: int) -> None:
    for _ in range(count):
        subprocess.run(["/bin/true", "x" * 200], check=True)


def _all(receiver: AuditReceiver) -> list[tuple[int, bytes]]:
    records: list[tuple[int, bytes]] = []
    while True:
        overruns, count = receiver.overruns, len(records)
        records += receiver.receive(0.2)
        if (receiver.overruns, len(records)) == (overruns, count):
            return records


def test_what_a_listener_loses_shows_as_gaps_in_the_serials(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """Beside an owner nothing holds the kernel back: an overrun is survived, and the lost events are counted."""
    owner = AuditSession.start(tmp_path, Limits())
    try:
        owner.load(read_rules([BASE_RULES], []).rules)
        small = AuditReceiver.listen(buffer_bytes=20_000)
        large = AuditReceiver.listen()
        _flood(60)
        counted = {}
        for name, receiver in (("small", small), ("large", large)):
            reassembler = Reassembler()
            for kind, payload in _all(receiver):
                reassembler.push(parse_kernel(kind, payload))
            _flood(1)  # a gap shows only when something comes after it
            for kind, payload in _all(receiver):
                reassembler.push(parse_kernel(kind, payload))
            reassembler.flush()
            counted[name] = (receiver.overruns, reassembler.lost)
            receiver.close()
        assert counted["large"] == (0, 0)
        assert counted["small"][0] >= 1
        assert counted["small"][1] >= 10
    finally:
        owner.stop()
    assert kernel_audit.status().pid == 0


def test_types_that_nobody_reads_never_leave_the_kernel(kernel_audit: AuditControl) -> None:
    """A listener's filter drops records by type; all others arrive."""
    kernel_audit.set(enabled=1)
    rule = next(rule.pack() for rule in read_rules([BASE_RULES], []).rules if "execve" in rule.text)
    kernel_audit.add_rule(rule)
    owner = AuditReceiver.own()
    try:
        listener = AuditReceiver.listen(drop_types=(1327, 1307))
        _flood(3)
        heard = {kind for kind, _ in _all(listener)}
        owned = {kind for kind, _ in _all(owner)}
        listener.close()
        assert {1300, 1309, 1302, 1320} <= heard
        assert {1327, 1307} <= owned
        assert not {1327, 1307} & heard
    finally:
        kernel_audit.delete_rule(rule)
        kernel_audit.set(enabled=0)
        kernel_audit.set(pid=0)
        owner.close()


def test_only_one_process_can_own_the_audit(kernel_audit: AuditControl) -> None:
    """The second one is told that it is owned, not that something failed."""
    attempt = (
        "from tocsin.agent.audit.netlink import AuditReceiver, SocketOwned\n"
        "try:\n    AuditReceiver.own()\nexcept SocketOwned as error:\n    print(error)"
    )
    owner = AuditReceiver.own()
    try:
        second = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True, check=True)
        assert second.stdout == "another audit daemon owns the kernel's audit socket\n"
        assert issubclass(SocketOwned, Exception)
    finally:
        kernel_audit.set(pid=0)
        owner.close()


def test_without_root_the_agent_says_what_it_needs(kernel_audit: AuditControl) -> None:
    """An unprivileged process gets one sentence."""
    del kernel_audit
    child = os.fork()
    if child == 0:
        os.setuid(NOBODY)
        try:
            AuditControl().status()
        except NotAllowed as error:
            os._exit(0 if "needs root" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_refusal_carries_the_kernels_reason(kernel_audit: AuditControl) -> None:
    """Callers tell a rule that exists from one that this kernel does not know."""
    rule = read_rules([BASE_RULES], []).rules[3].pack()
    kernel_audit.add_rule(rule)
    try:
        with pytest.raises(KernelRefused) as caught:
            kernel_audit.add_rule(rule)
        assert caught.value.errno == errno.EEXIST
        with pytest.raises(KernelRefused) as caught:
            kernel_audit.add_rule(rule[:-8])
        assert caught.value.errno == errno.EINVAL
    finally:
        kernel_audit.delete_rule(rule)
