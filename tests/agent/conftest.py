"""The kernel's audit, one test at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.agent.control import AuditControl, AuditStatus

LOCK = Path("/run/lock/tocsin-test-audit.lock")


def _kept(status: AuditStatus) -> tuple[int, ...]:
    return status.enabled, status.pid, status.backlog_limit, status.backlog_wait_time, status.failure


@pytest.fixture
def kernel_audit() -> Iterator[AuditControl]:
    """The kernel's audit for one test alone, which must leave it as it found it."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        control = AuditControl()
        before, rules = _kept(control.status()), control.rules()
        yield control
        assert _kept(control.status()) == before
        assert control.rules() == rules
        control.close()
