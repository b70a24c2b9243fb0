"""The kernel's audit, one test of the machine at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tocsin.agent.audit.control import AuditControl, AuditStatus

__all__ = ["kernel_audit_alone"]

LOCK = Path("/run/lock/tocsin-test-audit.lock")
SETTABLE = ("enabled", "backlog_limit", "backlog_wait_time", "failure")


@contextmanager
def kernel_audit_alone() -> Iterator[AuditControl]:
    """Keep every other test off the kernel's audit; whoever uses it must leave it as it was.

    After one that fails it is put back, so that a failure stays that test's own. CI's machine is nobody else's: what a
    killed run left there is removed first.
    """
    with LOCK.open("w") as lock, closing(AuditControl()) as control:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.environ.get("CI") and not control.status().pid:
            _put_back(control, [], {"enabled": 0})
        before, rules = _kept(control.status()), control.rules()
        try:
            yield control
            assert _kept(control.status()) == before
            assert control.rules() == rules
        except BaseException:
            _put_back(control, rules, {name: before[name] for name in SETTABLE})
            raise


def _kept(status: AuditStatus) -> dict[str, int]:
    return {name: getattr(status, name) for name in ("pid", *SETTABLE)}


def _put_back(control: AuditControl, rules: Sequence[bytes], values: dict[str, int]) -> None:
    now = control.rules()
    for rule in now:
        if rule not in rules:
            control.delete_rule(rule)
    for rule in rules:
        if rule not in now:
            control.add_rule(rule)
    control.set(**values)
