"""The whole agent on the real kernel, shipping to a real server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from agent.receiving import Server, at_work
from tocsin.agent.audit.control import AuditControl
from tocsin.agent.main import main
from tocsin.agent.operate.health import Report, read_report
from tocsin.model.event import Event
from tocsin.model.schema import CLASSES

pytestmark = pytest.mark.root

AUDITD_CONF = """
local_events = yes
write_logs = yes
log_file = {folder}/audit.log
log_format = RAW
max_log_file = 8
max_log_file_action = ROTATE
num_logs = 2
space_left = 75
space_left_action = IGNORE
admin_space_left = 50
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
"""
MARK = f"tocsin-run-{os.getpid()}"


@contextmanager
def running(server: Server, state: Path, settings: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """The agent as a process of its own, enrolled, at work, and stopped as a service manager stops it."""
    config = state / "agent.toml"
    state.mkdir(exist_ok=True)
    config.write_text(settings)
    options = ["--state-dir", str(state), "--config", str(config)]
    if not (state / "agent.json").exists():
        assert main(["enroll", "--server", server.url, "--token", "good", *options]) == 0
    with at_work([sys.executable, "-m", "tocsin.agent.main", "run", *options]) as agent:
        eventually(lambda: (report := read_report(state)) is not None and report.pid == agent.pid)
        yield agent
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(15) == 0


def eventually(condition: Callable[[], bool], within_s: float = 10) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def _find(server: Server, **wanted: object) -> list[Event]:
    """Events whose attributes have these values; in names, `__` stands for the dot."""
    pairs = [(path.replace("__", "."), value) for path, value in wanted.items()]
    return [event for event in list(server.events) if all(event.values.get(p) == v for p, v in pairs)]


def _report(state: Path) -> Report:
    report = read_report(state)
    assert report is not None
    return report


def test_what_happens_on_the_host_arrives_at_the_server(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """A program, a connection and a write to a watched folder arrive with process, executable, user and parent."""
    assert kernel_audit.status().pid == 0
    server = Server()
    with server.listening(), running(server, tmp_path / "state"):
        subprocess.run(["/bin/sh", "-c", f"sleep 0.2; : > /etc/{MARK}; rm /etc/{MARK}"], check=True)
        subprocess.run(["/bin/ls", "/", f"--{MARK}", "--password=hunter22"], stderr=subprocess.DEVNULL, check=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", 45_678))
        login = subprocess.Popen(["/bin/sh", "-c", "echo 65534 > /proc/self/loginuid"])
        login.wait()
        eventually(lambda: bool(_find(server, dst_endpoint__port=45_678)))
        # The kernel's LOGIN has a number among those of requests.
        eventually(lambda: bool(_find(server, metadata__event_code="LOGIN", actor__process__pid=login.pid)))
        eventually(lambda: len(_find(server, file__path=f"/etc/{MARK}")) == 2)
        command = f"/bin/ls / --{MARK} --password=[redacted]"
        eventually(lambda: bool(_find(server, process__cmd_line=command)))

        (listing,) = _find(server, process__cmd_line=command)
        assert listing.class_uid == 1007
        assert listing.values["process.file.path"] == "/usr/bin/ls"
        assert listing.values["process.parent_process.pid"] == os.getpid()
        assert listing.values["actor.process.pid"] == os.getpid()
        assert str(os.getpid()) in str(listing.values["process.ancestry"])
        assert listing.values["process.user.name"] == "root"
        arguments = next(record for record in listing.records if record.type == "EXECVE")
        assert arguments.values[-1] == "--password=[redacted]"

        written, removed = _find(server, file__path=f"/etc/{MARK}")
        assert (written.values["activity_id"], removed.values["activity_id"]) == (1, 4)
        shell = _find(server, process__pid=written.values["actor.process.pid"], activity_id=1)[0]
        assert written.values["actor.process.uid"] == shell.values["process.uid"]
        assert written.values["unmapped.audit.identity"] == "proc"
        assert removed.values["actor.process.parent_process.uid"] == shell.values["process.uid"]

        (connected,) = _find(server, dst_endpoint__port=45_678)
        assert connected.values["dst_endpoint.ip"] == "127.0.0.1"
        assert connected.values["actor.process.pid"] == os.getpid()
    for event in server.events:
        assert set(event.values) <= CLASSES[event.class_uid].paths
        assert event.values["device.uid"] == "a1"
    report = _report(tmp_path / "state")
    assert [module for module in report.modules.items() if not module[1].healthy] == []
    assert report.counters["shipped"] == report.counters["events"] == len(server.events)
    assert report.counters["kernel_lost"] == report.counters["serial_gaps"] == 0
    headers = server.headers
    assert all(after.previous == before.hash() for before, after in pairwise(headers))


def test_switching_the_audit_off_is_told_unless_the_agent_does_it(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """Somebody else's `auditctl -e 0` arrives; that the agent restores what it found is only counted."""
    found = kernel_audit.status().enabled  # a killed agent may have left it on
    kernel_audit.set(enabled=0)
    server, state = Server(), tmp_path / "state"
    with server.listening():
        with running(server, state):
            subprocess.run(["auditctl", "-e", "0"], check=True, stdout=subprocess.DEVNULL)
            eventually(lambda: bool(_switched_off(server)))
            kernel_audit.set(enabled=1)
        assert len(_switched_off(server)) == 1
        assert _report(state).counters["own"] == 1
        assert server.headers[-1].not_kept == {"own": 1}
    assert not kernel_audit.status().enabled
    kernel_audit.set(enabled=found)


def _switched_off(server: Server) -> list[Event]:
    changes = _find(server, metadata__event_code="CONFIG_CHANGE")
    return [
        event
        for event in changes
        for record in event.records
        if "audit_enabled" in record.keys and record.values[record.keys.index("audit_enabled")] == "0"
    ]


def test_beside_auditd_the_agent_listens_and_counts(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """With auditd as the owner, its rules' events arrive, no rule is added, and serial gaps are counted."""
    folder = tmp_path / "auditd"
    folder.mkdir()
    (folder / "auditd.conf").write_text(AUDITD_CONF.format(folder=folder))
    found = kernel_audit.status()
    auditd = subprocess.Popen(["auditd", "-n", "-c", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rule = ["-a", "always,exit", "-F", "arch=b64", "-S", "execve", "-k", MARK]
    try:
        eventually(lambda: kernel_audit.status().pid == auditd.pid)
        subprocess.run(["auditctl", *rule], check=True, stdout=subprocess.DEVNULL)
        before = kernel_audit.rules()
        server = Server()
        with server.listening(), running(server, tmp_path / "state"):
            subprocess.run(["/bin/true", MARK], check=True)
            eventually(lambda: bool(_find(server, process__cmd_line=f"/bin/true {MARK}")))
            assert kernel_audit.rules() == before
            report = _report(tmp_path / "state")
            assert report.modules["audit"].reason == f"listening beside process {auditd.pid}"
            assert report.modules["rules"].healthy
        assert kernel_audit.status().pid == auditd.pid
        assert _report(tmp_path / "state").counters["serial_gaps"] == 0
    finally:
        subprocess.run(["auditctl", "-d", *rule[1:]], check=False, stdout=subprocess.DEVNULL)
        auditd.terminate()
        auditd.wait()
        kernel_audit.set(enabled=found.enabled, backlog_limit=found.backlog_limit, failure=found.failure)


def test_events_wait_in_the_spool_while_the_server_is_away(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """A killed agent's events are on disk, and its next start ships them and restores the kernel."""
    assert kernel_audit.status().pid == 0
    state, server = tmp_path / "state", Server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with server.listening(port), running(server, state):
        pass
    options = ["--state-dir", str(state), "--config", str(state / "agent.toml")]
    with at_work([sys.executable, "-m", "tocsin.agent.main", "run", *options]) as agent:
        eventually(lambda: _report(state).pid == agent.pid)
        subprocess.run(["/bin/true", MARK], check=True)
        eventually(lambda: _report(state).gauges["spool_batches"] > 0)
        assert not _report(state).modules["ship"].healthy
        agent.kill()
        agent.wait()
    assert kernel_audit.rules()
    with server.listening(port), running(server, state):
        eventually(lambda: bool(_find(server, process__cmd_line=f"/bin/true {MARK}")))
    epochs = [header.epoch for header in server.headers]
    assert epochs == sorted(epochs)
    assert all(a.previous == b.hash() for b, a in pairwise(server.headers))


def test_an_agent_that_hands_over_leaves_nothing_uncounted(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """What happens between the old agent and the new one is told as lost, and the last one restores the kernel."""
    found, server, state = kernel_audit.status(), Server(), tmp_path / "state"
    with server.listening():
        with running(server, state) as old:
            _act("before")
            old.send_signal(signal.SIGUSR1)
            assert old.wait(15) == 0
            assert kernel_audit.status().enabled == 1
            loaded = len(kernel_audit.rules())
            assert loaded > 20
            for number in range(20):
                _act(f"between-{number}")
        with running(server, state):
            _act("after")
            eventually(lambda: bool(_told(server, "after")))
            assert len(kernel_audit.rules()) == loaded
    assert len(_told(server, "before")) == 1
    assert _told(server, "between-0") == []
    assert sum(header.not_kept.get("serial_gaps", 0) for header in server.headers) >= 20
    assert kernel_audit.status().enabled == found.enabled


def _act(word: str) -> None:
    subprocess.run(["/bin/true", f"--{MARK}-{word}"], check=True)


def _told(server: Server, word: str) -> list[Event]:
    return _find(server, process__cmd_line=f"/bin/true --{MARK}-{word}")
