"""Variables of a program's environment."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tocsin.agent.config import AuditSettings
from tocsin.agent.host.enrich import Enricher
from tocsin.agent.host.environment import LONGEST_VALUE, Environment
from tocsin.agent.host.processes import Process, ProcessTable
from tocsin.agent.host.procfs import read_environment, read_exe
from tocsin.agent.host.users import Users
from tocsin.agent.redact import REDACTED, Redactor
from tocsin.model.event import Event, Value, nest

NAMES = AuditSettings().environment


@contextmanager
def sleeping(**variables: str) -> Iterator[Process]:
    """A program with this environment, as the agent knows it."""
    child = subprocess.Popen(["/bin/sleep", "60"], env=variables)
    try:
        while read_exe(child.pid) == read_exe(os.getpid()) or not read_environment(child.pid):
            time.sleep(0.01)
        found = ProcessTable(str).find(child.pid, time.time_ns() // 1_000_000)
        assert found is not None
        yield found
    finally:
        child.kill()
        child.wait()


def test_variables_of_interest_are_found_by_their_whole_name() -> None:
    """Of all variables those that are named, with their values; not those that only end or begin like them."""
    environment = Environment(NAMES, str)
    with sleeping(
        MY_LD_PRELOAD="no", LD_PRELOAD="/opt/x.so", LD_PRELOAD_2="no", HISTFILE="/dev/null", X="1"
    ) as process:
        found = json.loads(environment.of(process))
    assert found == [{"name": "LD_PRELOAD", "value": "/opt/x.so"}, {"name": "HISTFILE", "value": "/dev/null"}]


def test_nothing_is_told_of_what_is_not_there() -> None:
    """No variable of interest, no names asked for, a process that has ended, one that has become another program."""
    with sleeping(PATH="/bin") as process:
        assert Environment(NAMES, str).of(process) == ""
    with sleeping(LD_PRELOAD="x") as process:
        assert Environment((), str).of(process) == ""
        process.exe = "/bin/another"
        assert Environment(NAMES, str).of(process) == ""
    assert Environment(NAMES, str).of(process) == ""


def test_values_are_redacted_and_bounded() -> None:
    """A password in an option does not leave the host; a value has at most so many bytes."""
    with sleeping(JAVA_TOOL_OPTIONS="-Dpassword=hunter22", LD_LIBRARY_PATH="x" * 5000) as process:
        found = {each["name"]: each["value"] for each in json.loads(Environment(NAMES, Redactor().clean).of(process))}
    assert found == {"JAVA_TOOL_OPTIONS": f"-Dpassword={REDACTED}", "LD_LIBRARY_PATH": "x" * LONGEST_VALUE}


def test_the_start_of_a_program_carries_them() -> None:
    """Whoever tells the start, the audit or the sensor in the kernel; exported they are a list of objects."""
    enricher = Enricher(ProcessTable(str), Users(), Environment(NAMES, str))
    with sleeping(LD_PRELOAD="/opt/x.so") as process:
        values: dict[str, Value] = {
            "time": time.time_ns() // 1_000_000,
            "activity_id": 1,
            "process.pid": process.pid,
            "process.parent_process.pid": os.getpid(),
            "process.file.path": process.exe,
            "unmapped.audit.serial": 7,
        }
        by_audit, by_sensor = Event(1007, dict(values)), Event(1007, values | {"process.uid": process.uid})
        for event in (by_audit, by_sensor):
            enricher.enrich(event)
            nested = nest(event)["process"]
            assert isinstance(nested, dict)
            assert nested["environment_variables"] == [{"name": "LD_PRELOAD", "value": "/opt/x.so"}]
