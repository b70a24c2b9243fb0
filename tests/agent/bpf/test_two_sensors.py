"""The same activity through the kernel's audit and through eBPF: one event, whichever sensor tells it."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.rule_set import BASE_RULES, read_rules
from tocsin.agent.audit.session import AuditSession, Limits
from tocsin.agent.bpf.replaced import replaces
from tocsin.agent.bpf.sensor import BpfSensor
from tocsin.agent.capture import Capture
from tocsin.agent.config import EbpfSettings
from tocsin.agent.host.enrich import Enricher
from tocsin.agent.host.processes import BOOT_ID, ProcessTable
from tocsin.agent.host.users import Users
from tocsin.agent.operate.health import Health
from tocsin.agent.redact import Redactor
from tocsin.model.event import Event, Value

pytestmark = pytest.mark.root

ACTIVITY = Path(__file__).parent / "activity.py"
LOGIN = 64_321
CLASSES = {1007, 4001}  # the kernel's word on the login itself is audit's alone
BOOT = BOOT_ID.read_text().strip()
# Each has its reason in docs/ebpf.md.
TOLD_BY_ONE = {"unmapped.audit.serial", "metadata.log_name", "unmapped.audit.identity", "time"}
CLOCK_MS = 30  # audit takes the time of the last tick, when the system call begins


def capture() -> Capture:
    """What turns a sensor's findings into finished events, with a process table of its own."""
    redactor = Redactor()
    return Capture(Enricher(ProcessTable(redactor.clean, BOOT), Users()), redactor, Health("test"))


def both(tmp_path: Path) -> tuple[list[dict[str, Value]], list[dict[str, Value]]]:
    """The events of the activity, as audit tells them and as eBPF does."""
    by_audit, by_ebpf = capture(), capture()
    audited: list[Event] = []
    told: list[Event] = []
    session = AuditSession.start(tmp_path, Limits())
    sensor = BpfSensor.start(EbpfSettings(enabled=True), BOOT)
    try:
        rules = read_rules([BASE_RULES], []).rules
        session.load(rule for rule in rules if "exclude" in rule.text or replaces(rule))
        assert not session.refused
        folder = tmp_path / "activity"
        folder.mkdir()
        activity = subprocess.Popen([sys.executable, ACTIVITY, folder, str(LOGIN)], stdin=subprocess.DEVNULL)
        quiet = 0
        while quiet < 3:
            records = session.receiver.receive(0.1)
            audited += by_audit.take(records, 0)
            found = by_ebpf.admit(sensor.read(0))
            told += found
            quiet = 0 if records or found or activity.poll() is None else quiet + 1
        assert activity.returncode == 0
        assert sensor.losses() == {}
    finally:
        sensor.close()
        session.stop()
    return _of_activity(audited), _of_activity(told)


def _of_activity(events: list[Event]) -> list[dict[str, Value]]:
    """Attributes of those that the activity's login is behind, and its arguments."""
    found = []
    for event in events:
        values = event.attributes() | {"class_uid": event.class_uid}
        if event.class_uid in CLASSES and LOGIN in {values.get("process.auid"), values.get("actor.process.auid")}:
            arguments = [record.values for record in event.records if record.type == "EXECVE"]
            found.append(values | {"arguments": str(arguments)})
    return found


def _by_deed(events: list[dict[str, Value]]) -> dict[tuple[Value | None, ...], list[dict[str, Value]]]:
    """Events by what was done, by which process, to what."""
    deeds = ("class_uid", "metadata.event_code", "process.pid", "process.cmd_line", "process.file.path")
    who = ("actor.process.pid", "dst_endpoint.ip", "dst_endpoint.port", "src_endpoint.ip", "src_endpoint.port")
    found = defaultdict(list)
    for values in events:
        found[tuple(values.get(path) for path in (*deeds, *who))].append(values)
    return found


def test_both_sensors_tell_the_same(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """Every event of the activity comes from both, with the same attributes and the same process identities."""
    assert kernel_audit.status().pid == 0
    audited, told = both(tmp_path)
    by_audit, by_ebpf = _by_deed(audited), _by_deed(told)
    assert len(audited) > 80
    assert by_audit.keys() == by_ebpf.keys()
    for deed, events in by_audit.items():
        assert len(events) == len(by_ebpf[deed]), deed
        for left, right in zip(events, by_ebpf[deed], strict=True):
            _assert_equal(left, right)


def _assert_equal(audit: dict[str, Value], ebpf: dict[str, Value]) -> None:
    assert abs(int(audit["time"]) - int(ebpf["time"])) <= CLOCK_MS
    left, right = _certain(audit), _certain(ebpf)
    for path, identity in left.items():
        if path.endswith("process.uid") and _is_guessed(identity):
            right[path] = identity
            # What has ended before it could be looked at has no start either.
            right.pop(f"{path.removesuffix('uid')}created_time", None)
    right["ancestry"] = [
        ours | {"uid": theirs["uid"]} if _is_guessed(theirs["uid"]) else ours
        for theirs, ours in zip(left["ancestry"], right["ancestry"], strict=True)
    ]
    assert left == right


def _certain(values: dict[str, Value]) -> dict[str, Any]:
    """What both must say, with the ancestry as a list."""
    ancestry = values.get("process.ancestry") or values.get("actor.process.ancestry") or "[]"
    others = {path: value for path, value in values.items() if path not in TOLD_BY_ONE and "ancestry" not in path}
    return others | {"ancestry": msgspec.json.decode(str(ancestry))}


def _is_guessed(identity: object) -> bool:
    """Of a process that had ended when audit's record of it was read."""
    return "-r" in str(identity)
