"""The whole agent beside a writer of numbered lines, killed again and again; and beside a real container."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.receiving import Server
from tocsin.agent.audit.control import AuditControl
from tocsin.agent.main import main
from tocsin.agent.operate.health import read_report
from tocsin.model.event import Event

pytestmark = [pytest.mark.root, pytest.mark.slow]

ROUNDS = 6
WITHIN_S = 30.0
SETTINGS = """
[logs]
files = ["{log}"]
syslog_files = []
journal = false
[files]
enabled = false
[names]
enabled = false
[inventory]
enabled = false
"""
IMAGE, NAME = "localhost/tocsin-test:1", "tocsin-test"
PODMAN = ("podman", "--cgroup-manager=cgroupfs", "--runtime=runc")
# As root of a machine that may not raise limits itself.
LIMITS = ("--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


def _eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _start(state: Path) -> subprocess.Popen[bytes]:
    options = ["--state-dir", str(state), "--config", str(state / "agent.toml")]
    agent = subprocess.Popen([sys.executable, "-m", "tocsin.agent.main", "run", *options])
    _eventually(lambda: (report := read_report(state)) is not None and report.pid == agent.pid)
    return agent


def _enrolled(server: Server, state: Path) -> Path:
    """The log that an agent with its state there follows."""
    log = state / "app.log"
    (state / "agent.toml").write_text(SETTINGS.format(log=log))
    log.touch()
    assert main(["enroll", "--server", server.url, "--token", "good", "--state-dir", str(state)]) == 0
    return log


class Writer:
    """Writes one numbered line after another, and rotates the log now and then."""

    def __init__(self, log: Path) -> None:
        self.done = 0
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.wait(0.002):
            if self.done % 1000 == 999:
                self._log.rename(f"{self._log}.{self.done // 1000}")
            with self._log.open("a") as file:
                file.write(f"action {self.done}\n")
            self.done += 1

    def finish(self) -> None:
        self._stop.set()
        self._thread.join()


def _lines(server: Server) -> list[Event]:
    return [event for event in list(server.events) if str(event.values.get("message", "")).startswith("action ")]


def test_no_line_is_lost_by_kills_and_rotation(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """Whatever the moment of the kill, every line arrives; one that arrives twice has the same file and offset."""
    assert kernel_audit.status()
    server = Server()
    with server.listening():
        log = _enrolled(server, tmp_path)
        agent = _start(tmp_path)
        writer = Writer(log)
        try:
            for moment_s in range(ROUNDS):
                time.sleep(0.3 + moment_s * 0.17)
                agent.kill()
                agent.wait()
                agent = _start(tmp_path)
            time.sleep(1)
            writer.finish()
            last = f"action {writer.done - 1}"
            _eventually(lambda: any(event.values["message"] == last for event in _lines(server)[-50:]))
            time.sleep(1)
        finally:
            writer.finish()
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(15) == 0
    kept = Counter(str(event.values["message"]) for event in _lines(server))
    places = {(str(e.values["message"]), e.values["unmapped.log.offset"]) for e in _lines(server)}
    (tmp_path / "told").write_text(f"{writer.done} lines, {sum(kept.values()) - len(kept)} twice")
    assert set(kept) == {f"action {number}" for number in range(writer.done)}
    assert writer.done > 1000  # the log was rotated
    assert len(places) == len(kept)
    assert sum(kept.values()) - len(kept) <= ROUNDS * 100


@contextmanager
def _image(folder: Path) -> Iterator[None]:
    """An image of a shell alone."""
    (folder / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin")
    for name in ("sh", "sleep", "id"):
        (folder / "bin" / name).symlink_to("busybox")
    packed = subprocess.run(["tar", "-C", str(folder), "-c", "."], check=True, capture_output=True).stdout
    subprocess.run([*PODMAN, "import", "-", IMAGE], input=packed, check=True, capture_output=True)
    yield
    subprocess.run([*PODMAN, "rmi", "-f", IMAGE], check=True, capture_output=True)


@pytest.mark.skipif(
    not all(map(shutil.which, ("podman", "runc", "busybox"))), reason="needs podman, runc and a static busybox"
)
def test_what_a_real_container_runs_is_told_with_its_name(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """Podman runs a shell in a container: what it starts has the container's id, runtime, name and image."""
    assert kernel_audit.status()
    server, state = Server(), tmp_path / "state"
    state.mkdir()
    with server.listening(), _image(tmp_path / "image"):
        _enrolled(server, state)
        agent = _start(state)
        try:
            command = [
                *PODMAN,
                "run",
                "-d",
                f"--name={NAME}",
                *LIMITS,
                IMAGE,
                "/bin/sh",
                "-c",
                "sleep 1; /bin/id -u; :",
            ]
            uid = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            _eventually(lambda: _started(server, "/bin/id -u"))
        finally:
            subprocess.run([*PODMAN, "rm", "-f", "-t", "0", NAME], check=False, capture_output=True)
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(15) == 0
    (started,) = _started(server, "/bin/id -u")
    told = {path.removeprefix("process.container."): value for path, value in started.attributes().items()}
    assert {name: told.get(name) for name in ("uid", "runtime", "name", "image.name")} == {
        "uid": uid,
        "runtime": "podman",
        "name": NAME,
        "image.name": IMAGE,
    }
    assert started.attributes()["actor.process.container.name"] == NAME


def _started(server: Server, cmd_line: str) -> list[Event]:
    return [event for event in list(server.events) if event.attributes().get("process.cmd_line") == cmd_line]
