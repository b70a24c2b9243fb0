"""The kernel's audit, one test of the machine at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin.agent.audit.control import AuditControl, AuditStatus

__all__ = ["kernel_audit_alone"]

LOCK = Path("/run/lock/tocsin-test-audit.lock")


@contextmanager
def kernel_audit_alone() -> Iterator[AuditControl]:
    """Keep every other test off the kernel's audit; whoever uses it must leave it as it was."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        control = AuditControl()
        before, rules = _kept(control.status()), control.rules()
        yield control
        assert _kept(control.status()) == before
        assert control.rules() == rules
        control.close()


def _kept(status: AuditStatus) -> tuple[int, ...]:
    return status.enabled, status.pid, status.backlog_limit, status.backlog_wait_time, status.failure
