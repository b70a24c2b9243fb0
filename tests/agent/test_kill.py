"""kill -9 of the agent, again and again, beside a writer that numbers what it does: kept, or counted as lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from agent.receiving import Server
from tocsin.agent.main import main
from tocsin.agent.operate.health import read_report
from tocsin.agent.operate.supervised import SUPERVISOR

pytestmark = [pytest.mark.root, pytest.mark.slow]
ROUNDS = int(os.environ.get("TOCSIN_KILL_ROUNDS", "5"))
MARK = f"tocsin-kill-{os.getpid()}"
WITHIN_S = 30.0


class Writer:
    """Runs one program after another, each with a number."""

    def __init__(self) -> None:
        self.done = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.wait(0.01):
            subprocess.run(["/bin/true", f"{MARK}-{self.done}"], check=True)
            self.done += 1

    def finish(self) -> None:
        self._stop.set()
        self._thread.join()


def _start(state: Path) -> subprocess.Popen[bytes]:
    options = ["--state-dir", str(state), "--config", str(state / "agent.toml")]
    environment = os.environ | {SUPERVISOR: str(os.getpid())}
    agent = subprocess.Popen([sys.executable, "-m", "tocsin.agent.main", "run", *options], env=environment)
    _eventually(lambda: (report := read_report(state)) is not None and report.pid == agent.pid)
    return agent


def _eventually(condition: object) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():  # type: ignore[operator]  # a function without arguments
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _kept(server: Server) -> Counter[int]:
    lines = (str(event.values.get("process.cmd_line", "")) for event in list(server.events))
    return Counter(int(line.rpartition("-")[2]) for line in lines if MARK in line)


def _lost(server: Server) -> Counter[str]:
    lost: Counter[str] = Counter()
    for header in list(server.headers):
        lost.update(header.not_kept)
    return lost


def _serials(server: Server) -> set[int]:
    found = (event.values.get("unmapped.audit.serial") for event in list(server.events))
    return {serial for serial in found if isinstance(serial, int)}


def test_every_action_is_kept_or_counted_as_lost(tmp_path: Path) -> None:
    """Whatever the moment of the kill: what did not arrive was told as lost, and no more than that by far."""
    server = Server()
    chance = random.Random()  # noqa: S311 -- moments, not secrets
    with server.listening():
        assert main(["enroll", "--server", server.url, "--token", "good", "--state-dir", str(tmp_path)]) == 0
        agent, writer = _start(tmp_path), None
        writer = Writer()
        try:
            for _ in range(ROUNDS):
                time.sleep(chance.uniform(0.2, 1.5))
                agent.kill()
                agent.wait()
                agent = _start(tmp_path)
            time.sleep(1)
            writer.finish()
            _eventually(lambda: _kept(server)[writer.done - 1])
            time.sleep(3)  # gaps count as lost when nothing has come for a while
        finally:
            writer.finish()
            agent.send_signal(signal.SIGTERM)
            try:
                assert agent.wait(15) == 0
            finally:
                agent.kill()
    kept, lost, serials = _kept(server), _lost(server), _serials(server)
    missing = [number for number in range(writer.done) if not kept[number]]
    span = max(serials) - min(serials) + 1
    counts = f"{dict(lost)} lost, {len(serials)} kept of {span} events"
    told = f"{ROUNDS} rounds, {writer.done} actions: {len(missing)} not kept; {counts}"
    (tmp_path / "told").write_text(told)
    assert max(kept.values()) == 1
    assert len(missing) <= lost["serial_gaps"] + lost["kernel_lost"], told
    # The kernel has numbered every event: what is kept and what is lost are all of them, not many more.
    accounted = len(serials) + lost["serial_gaps"] + lost["own"]
    assert span <= accounted <= span + 10 * ROUNDS, told
