"""The whole agent with the eBPF sensor, and where it may not have one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.receiving import Server, at_work
from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.rule_set import BASE_RULES, read_rules
from tocsin.agent.bpf.replaced import replaces
from tocsin.agent.main import main
from tocsin.agent.operate.health import Report, read_report
from tocsin.model.event import Event
from tocsin.model.schema import CLASSES

pytestmark = pytest.mark.root

SETTINGS = "[ebpf]\nenabled = true\n[files]\nenabled = false\n"
MARK = f"tocsin-ebpf-{os.getpid()}"
WITHOUT_BPF = ("setpriv", "--bounding-set=-bpf,-sys_admin,-perfmon")


@contextmanager
def running(server: Server, state: Path, *before: str) -> Iterator[None]:
    """The agent at work with the sensor asked for; `before` begins its command."""
    state.mkdir()
    config = state / "agent.toml"
    config.write_text(SETTINGS)
    options = ["--state-dir", str(state), "--config", str(config)]
    assert main(["enroll", "--server", server.url, "--token", "good", *options]) == 0
    with at_work([*before, sys.executable, "-m", "tocsin.agent.main", "run", *options]) as agent:
        eventually(lambda: read_report(state) is not None)
        yield
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(15) == 0


def eventually(condition: Callable[[], bool], within_s: float = 10) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def find(server: Server, path: str, value: object) -> list[Event]:
    """Events whose attribute has this value."""
    return [event for event in list(server.events) if event.attributes().get(path) == value]


def report(state: Path) -> Report:
    """The agent's state as it last wrote it."""
    written = read_report(state)
    assert written is not None
    return written


def act() -> None:
    """Start a program that holds a secret, and connect; watch a file of /etc change."""
    subprocess.run(["/bin/sleep", "0", f"--{MARK}", "--password=hunter22"], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["/bin/sh", "-c", f"sleep 0.3; : > /etc/{MARK}; rm /etc/{MARK}"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", 45_679))


def expect(server: Server) -> tuple[Event, Event]:
    """What `act` did, once each, with what the agent adds; returns the program and the connection."""
    command = f"/bin/sleep 0 --{MARK} --password=[redacted]"
    eventually(lambda: bool(find(server, "process.cmd_line", command)))
    eventually(lambda: bool(find(server, "dst_endpoint.port", 45_679)))
    eventually(lambda: bool(find(server, "file.path", f"/etc/{MARK}")))
    (program,) = find(server, "process.cmd_line", command)
    (connection,) = find(server, "dst_endpoint.port", 45_679)
    assert program.attributes()["process.parent_process.pid"] == os.getpid()
    assert "hunter22" not in str(program)
    assert connection.attributes()["actor.process.pid"] == os.getpid()
    assert connection.attributes()["actor.process.uid"] == program.attributes()["process.parent_process.uid"]
    return program, connection


def test_programs_and_connections_come_by_ebpf_and_the_rest_by_audit(
    kernel_audit: AuditControl, tmp_path: Path
) -> None:
    """The kernel has none of the rules that the sensor replaces; a file's writer has the identity its launch had."""
    state, server = tmp_path / "state", Server()
    replaced = {rule.pack() for rule in read_rules([BASE_RULES], []).rules if replaces(rule)}
    with server.listening(), running(server, state):
        assert replaced
        assert replaced.isdisjoint(kernel_audit.rules())
        act()
        program, connection = expect(server)
        assert {e.attributes()["metadata.log_name"] for e in (program, connection)} == {"ebpf"}
        written = find(server, "file.path", f"/etc/{MARK}")[0].attributes()
        assert written["metadata.log_name"] == "auditd"
        (shell,) = (e for e in find(server, "process.uid", written["actor.process.uid"]) if "process.pid" in e.values)
        assert shell.attributes()["metadata.log_name"] == "ebpf"
        assert report(state).modules["ebpf"].healthy
    counters = report(state).counters
    assert [counters[name] for name in ("ebpf_process_lost", "ebpf_network_lost", "ebpf_missed", "kernel_lost")] == [
        0
    ] * 4
    for event in server.events:
        assert set(event.attributes()) <= CLASSES[event.class_uid].paths


def test_without_the_right_to_load_it_the_audit_gives_the_same(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """An agent that may not use BPF says so in its status, and every event comes by the kernel's audit."""
    assert kernel_audit.status().pid == 0
    state, server = tmp_path / "state", Server()
    with server.listening(), running(server, state, *WITHOUT_BPF):
        act()
        program, connection = expect(server)
        assert {e.attributes()["metadata.log_name"] for e in (program, connection)} == {"auditd"}
        module = report(state).modules["ebpf"]
        assert not module.healthy
        assert "CAP_BPF" in module.reason
        assert "the kernel's audit is used instead" in module.reason
