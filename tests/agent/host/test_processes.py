"""Processes of this host: identity, lineage, container, users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tocsin.agent.host.enrich import Enricher
from tocsin.agent.host.processes import MAX_ANCESTORS, MAX_PROCESSES, ProcessTable
from tocsin.agent.host.procfs import Container, container_of, read_stat
from tocsin.agent.host.users import Users
from tocsin.agent.redact import REDACTED, Redactor
from tocsin.model.event import Event, Value
from tocsin.model.schema import CLASSES

ID = "ab" * 32
POD = "0f3c1d2e-1111-2222-3333-444455556666"
GONE = 4_194_304  # above the largest process id


def _now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def table() -> ProcessTable:
    return ProcessTable(Redactor().clean)


def test_a_living_process_is_known_by_boot_pid_and_start(table: ProcessTable) -> None:
    """Its identity is the same whenever and by whomever it is asked for."""
    process = table.find(os.getpid(), _now())
    stat = read_stat(os.getpid())
    assert process is not None
    assert stat is not None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:12]
    assert process.uid == f"{boot}-{os.getpid()}-{stat.start_ticks}"
    again = ProcessTable(str).find(os.getpid(), _now())
    assert again is not None
    assert again.uid == process.uid
    assert process.parent is not None
    assert process.parent.pid == os.getppid()
    assert abs(process.created_ms - Path(f"/proc/{os.getpid()}").stat().st_ctime * 1000) < 120_000


def test_a_process_that_has_gone_is_known_by_its_record(table: ProcessTable) -> None:
    """The first record's time and serial name it, for as long as its id cannot have been given away."""
    first = table.started(GONE, os.getpid(), "x", "/bin/x", "x", 1_000_000, 7)
    later = table.seen(GONE, os.getpid(), "x", "/bin/x", 1_002_000, 9)
    other = table.seen(GONE, os.getpid(), "x", "/bin/x", 1_000_000 + 3_600_000, 11)
    assert first.uid.endswith(f"-{GONE}-r1000000.7")
    assert later is first
    assert other.uid.endswith("-r4600000.11")
    assert not first.from_proc


def test_a_reused_process_id_is_another_process(table: ProcessTable) -> None:
    """The start time tells a process from the one that had its id before."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        before = table.find(child.pid, _now())
        assert before is not None
        before.ticks, before.uid = before.ticks - 1, "the one before"
        after = table.started(child.pid, os.getpid(), "y", "/bin/y", "y", _now(), 1)
        assert after is not before
        assert after.uid != before.uid
    finally:
        child.kill()
        child.wait()


def test_the_lineage_leads_up_to_the_first_process_and_holds_no_secret(table: ProcessTable) -> None:
    """Ancestors come nearest first, cleaned, and at most a number of them."""
    parent = table.find(os.getpid(), _now())
    for generation in range(12):
        parent = table.started(
            GONE + generation, parent.pid if parent else 0, "x", "/bin/x", "x --token=abcdef", _now(), 1
        )
    assert parent is not None
    ancestry = json.loads(parent.lineage_json)
    assert len(ancestry) == MAX_ANCESTORS
    assert ancestry[0]["pid"] == GONE + 11
    assert ancestry[0]["cmd_line"] == f"x --token={REDACTED}"
    assert ancestry[1]["pid"] == GONE + 10


def test_the_table_is_bounded(table: ProcessTable) -> None:
    """Processes that were not seen for longest are forgotten."""
    for i in range(MAX_PROCESSES + 50):
        table.started(GONE + i, 0, "x", "/bin/x", "x", 1_000, i)
    assert len(table) == MAX_PROCESSES


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", Container(ID, "docker", "")),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", Container(ID, "podman", "")),
        (f"5:cpu:/docker/{ID}\n4:memory:/docker/{ID}\n", Container(ID, "docker", "")),
        (
            f"0::/kubepods.slice/kubepods-burstable-pod{POD.replace('-', '_')}.slice/cri-containerd-{ID}.scope\n",
            Container(ID, "containerd", POD),
        ),
        (f"0::/kubepods/besteffort/pod{POD}/{ID}\n", Container(ID, "", POD)),
        (f"0::/kubepods.slice/x-pod{POD}.slice/crio-{ID}.scope\n", Container(ID, "cri-o", POD)),
        ("0::/user.slice/user-1000.slice/session-1.scope\n", None),
        ("", None),
    ],
)
def test_the_container_is_read_from_the_cgroup(cgroup: str, container: Container | None) -> None:
    """Docker, podman, containerd and CRI-O name their cgroups each in their way."""
    assert container_of(cgroup.encode()) == container


def test_user_names_follow_the_file(tmp_path: Path) -> None:
    """A user added while the agent runs gets a name; the first of two names for one id counts."""
    passwd = tmp_path / "passwd"
    passwd.write_text("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nbroken\n")
    users = Users(passwd)
    assert users.name("0") == "root"
    assert users.name("5000") is None
    passwd.write_text("new:x:5000:5000::/:/bin/sh\n")
    users._checked_at = 0
    assert users.name("5000") == "new"
    passwd.unlink()
    users._checked_at = 0
    assert users.name("5000") == "new"


def test_an_enriched_event_fits_its_class(table: ProcessTable) -> None:
    """Every attribute that enrichment adds is one of the event's class."""
    base: dict[str, Value] = {"time": _now(), "unmapped.audit.serial": 1, "activity_id": 1}
    own: dict[str, Value] = {
        "process.pid": os.getpid(),
        "process.parent_process.pid": os.getppid(),
        "process.user.uid": "0",
    }
    actor: dict[str, Value] = {"actor.process.pid": os.getpid(), "actor.process.user.uid": "0"}
    enricher = Enricher(table, Users())
    for event in (
        Event(1007, {**base, **own}),
        Event(1007, {**base, **own, "activity_id": 5}),
        Event(1007, {**base, **actor, "process.pid": os.getppid()}),
        Event(1004, {**base, **actor, "process.pid": os.getppid()}),
        Event(4001, {**base, **actor}),
        Event(1001, {**base, **actor}),
    ):
        enricher.enrich(event)
        values = event.attributes()
        assert set(values) <= CLASSES[event.class_uid].paths
        assert event.values.keys().isdisjoint(event.shared)
        prefix = "actor.process" if "actor.process.user.uid" in values else "process"
        assert values[f"{prefix}.user.name"] == "root"
        assert values[f"{prefix}.uid"]
        assert values[f"{prefix}.parent_process.pid"] == os.getppid()
        assert values["unmapped.audit.identity"] == "proc"


def test_what_events_of_a_process_share_is_made_once_and_anew_when_it_changes(table: ProcessTable) -> None:
    """Two events of a process have one dict of it, until the process starts another program."""
    mapped: dict[str, Value] = {
        "actor.process.pid": GONE,
        "actor.process.name": "x",
        "actor.process.file.path": "/bin/x",
        "actor.process.parent_process.pid": os.getpid(),
        "actor.process.user.uid": "0",
    }
    enricher = Enricher(table, Users())

    def connect(serial: int) -> Event:
        event = Event(4001, {"time": 1000 + serial, "unmapped.audit.serial": serial}, (), mapped)
        enricher.enrich(event)
        return event

    table.started(GONE, os.getpid(), "x", "/bin/x", "x --first", 1000, 1)
    first, again = connect(2), connect(3)
    assert first.shared is again.shared
    assert first.shared["actor.process.cmd_line"] == "x --first"
    assert first.shared["actor.process.user.name"] == "root"
    assert first.shared["actor.process.parent_process.pid"] == os.getpid()
    table.started(GONE, os.getpid(), "x", "/bin/x", "x --second", 1004, 4)
    assert connect(5).shared["actor.process.cmd_line"] == "x --second"


def test_launches_of_one_parent_share_what_is_said_of_it(table: ProcessTable) -> None:
    """Each program that a process starts has its own attributes, and the parent's in one dict for all."""
    enricher = Enricher(table, Users())
    events = []
    for number in (1, 2):
        values: dict[str, Value] = {
            "time": _now(),
            "unmapped.audit.serial": number,
            "activity_id": 1,
            "process.pid": GONE + number,
            "process.parent_process.pid": os.getpid(),
            "actor.process.pid": os.getpid(),
            "process.cmd_line": f"x {number}",
        }
        events.append(Event(1007, values))
        enricher.enrich(events[-1])
    assert events[0].shared is events[1].shared
    assert events[0].shared["actor.process.pid"] == os.getpid()
    for number, event in enumerate(events, 1):
        assert event.values.keys().isdisjoint(event.shared)
        assert event.attributes()["process.parent_process.pid"] == os.getpid()
        assert event.attributes()["process.cmd_line"] == f"x {number}"
        assert event.attributes()["unmapped.audit.identity"] == "record"
