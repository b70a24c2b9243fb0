"""Processes that end, and the variables they were started with, told by the whole agent on the real kernel."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from agent.receiving import Server
from agent.test_run import eventually, running
from tocsin.agent.audit.control import AuditControl
from tocsin.model.event import Event, Value

pytestmark = pytest.mark.root

BY_AUDIT = "[audit]\nexits = true\n"
BY_SENSOR = "[audit]\nexits = true\n[ebpf]\nenabled = true\nexits = true\n"
VARIABLES = {"HISTFILE": "/dev/null", "LD_LIBRARY_PATH": "/nonexistent", "PATH": "/usr/bin:/bin"}
LAUNCH, TERMINATE = 1, 2
# What only one of them can know, and what differs from run to run.
OF_ONE = {"metadata.log_name", "unmapped.audit.serial", "process.parent_process.uid"}
OF_A_RUN = {"time", "duration"} | {
    f"{who}.{name}" for who in ("process", "actor.process") for name in ("pid", "uid", "created_time")
}


def _of(server: Server, pid: int, activity_id: int) -> list[Event]:
    wanted = {"activity_id": activity_id, "process.pid": pid}
    return [event for event in list(server.events) if wanted.items() <= event.attributes().items()]


def _ended(settings: str, state: Path) -> dict[str, Value]:
    """The end of a program that takes half a second and then says 7, after its start was looked at."""
    server = Server()
    with server.listening(), running(server, state, settings):
        command = ["/bin/sh", "-c", "sleep 0.5; exit 7"]
        process = subprocess.Popen(command, env=VARIABLES)
        assert process.wait() == 7
        killed = subprocess.Popen(["/bin/sleep", "60"])
        killed.kill()
        killed.wait()
        eventually(lambda: bool(_of(server, process.pid, TERMINATE)))
    started, ended = _of(server, process.pid, LAUNCH), _of(server, process.pid, TERMINATE)
    assert (len(started), len(ended)) == (1, 1)
    assert len(_of(server, killed.pid, TERMINATE)) == (settings == BY_SENSOR)
    variables = json.loads(str(started[0].values["process.environment_variables"]))
    assert variables == [{"name": name, "value": VARIABLES[name]} for name in ("LD_LIBRARY_PATH", "HISTFILE")]
    first, last = started[0].attributes(), ended[0].attributes()
    assert last["process.uid"] == last["actor.process.uid"] == first["process.uid"]
    assert last["exit_code"] == 7
    assert 500 <= int(last["duration"]) <= 5000
    return last


def test_an_end_is_told_with_code_and_duration(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """Once, under the identity of its start; audit and the sensor in the kernel give the same attributes."""
    assert kernel_audit.status().pid == 0
    by_audit, by_sensor = _ended(BY_AUDIT, tmp_path / "audit"), _ended(BY_SENSOR, tmp_path / "sensor")
    assert by_sensor["metadata.log_name"] == "ebpf"
    assert by_audit["metadata.log_name"] == "auditd"
    assert by_audit.keys() - OF_ONE == by_sensor.keys() - OF_ONE
    assert {path for path in by_audit if by_audit[path] != by_sensor.get(path)} <= OF_ONE | OF_A_RUN
    assert by_audit["process.parent_process.pid"] == os.getpid()
