"""The supervisor, with real processes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from tocsin.wiring.supervise import Child, Supervisor


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """The supervisor takes the signals over; the test run gets them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _child(code: str) -> Child:
    return Child("child", [sys.executable, "-c", code])


def test_a_child_that_says_that_it_cannot_run_ends_all() -> None:
    """Its exit code is the supervisor's, and the others are stopped."""
    lasting = _child("import time; time.sleep(60)")
    assert Supervisor([lasting, _child("raise SystemExit(2)")]).run() == 2
    assert lasting.process is not None
    assert lasting.process.returncode == -15


def test_ctrl_c_does_not_reach_children() -> None:
    """The terminal's SIGINT is blocked in a child, so only the supervisor stops it."""
    child = _child("import os, signal; os.kill(os.getpid(), signal.SIGINT); raise SystemExit(7)")
    child.start(0)
    assert child.process is not None
    assert child.process.wait() == 7
