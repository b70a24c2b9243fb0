"""The supervisor, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.wiring.processes.supervise import Child, Supervisor


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """The supervisor takes the signals over; the test run gets them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
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


_RENEWS = """
import pathlib, signal, sys
signal.signal(signal.SIGHUP, lambda *_: pathlib.Path(sys.argv[1]).touch())
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
pathlib.Path(sys.argv[1] + ".ready").touch()
while True:
    signal.pause()
"""


def _wait_for(path: Path) -> bool:
    until = time.monotonic() + 20
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.02)
    return path.exists()


def test_sighup_reaches_who_can_renew_itself_and_ends_nobody(tmp_path: Path) -> None:
    """It is passed on to all children; one that knows nothing of it goes on."""
    renewed, seen = tmp_path / "renewed", []
    renewing = Child("renewing", [sys.executable, "-c", _RENEWS, str(renewed)])
    other = _child("import time; time.sleep(60)")

    def hang_up() -> None:
        seen.append(_wait_for(Path(f"{renewed}.ready")))
        os.kill(os.getpid(), signal.SIGHUP)
        seen.append(_wait_for(renewed))
        seen.append(other.process is not None and other.process.poll() is None)
        os.kill(os.getpid(), signal.SIGTERM)

    told = threading.Thread(target=hang_up)
    told.start()
    assert Supervisor([renewing, other]).run() == 0
    told.join()
    assert seen == [True, True, True]


_IN_A_TERMINAL = """
import os, signal, sys
from tocsin.wiring.processes.supervise import Child, Supervisor
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever these tests are run by
os.open(sys.argv[1], os.O_RDWR)  # the first terminal that the leader of a session opens is the session's
lasting = Child("lasting", [sys.executable, "-c", f"open({sys.argv[2]!r}, 'w').close(); import time; time.sleep(60)"])
sys.exit(Supervisor([lasting]).run())
"""


def test_a_terminal_that_goes_ends_all(tmp_path: Path) -> None:
    """Who closes the window in which it runs leaves nothing running."""
    started = tmp_path / "started"
    master, slave = os.openpty()
    command = [sys.executable, "-c", _IN_A_TERMINAL, os.ttyname(slave), str(started)]
    running = subprocess.Popen(command, start_new_session=True)
    assert _wait_for(started)
    os.close(slave)
    os.close(master)
    assert running.wait(20) == 0
