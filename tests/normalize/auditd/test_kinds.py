"""Every kind of event that the kernel's audit tells of: what it becomes, from a log kept and on this kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel_activity import ACTIVITIES, lines, perform, received, recording, session_records
from tocsin.agent.audit.control import AuditControl
from tocsin.model.event import Event
from tocsin.normalize.auditd import read_events

GOLDEN = Path(__file__).parents[2] / "golden" / "auditd"
LOGS = sorted(GOLDEN.glob("kinds-*.log"))


def _events(written: list[bytes]) -> list[Event]:
    events = list(read_events(written))
    assert all(isinstance(event, Event) for event in events)
    return [event for event in events if isinstance(event, Event)]


def _kinds(events: list[Event]) -> set[tuple[int, object, object]]:
    return {(event.class_uid, event.values["activity_id"], event.values["metadata.event_code"]) for event in events}


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_the_log_that_is_kept_has_every_kind(log: Path) -> None:
    """Each activity's event is in it, with the class and activity that the table says."""
    kinds = _kinds(_events(log.read_bytes().splitlines()))
    assert {name: kind for name, (_, kind) in ACTIVITIES.items() if kind not in kinds} == {}


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_every_event_of_a_session_names_it_and_its_login(log: Path) -> None:
    """Whatever is done carries the session of the login that began it, and the user who logged in then."""
    events = _events(log.read_bytes().splitlines())
    began = [event.values for event in events if event.values["metadata.event_code"] == "LOGIN"]
    logins = {values["session.uid"]: values["user.uid"] for values in began}
    assert len(logins) >= len(ACTIVITIES)
    for event in events:
        if event.values["metadata.event_code"] == "LOGIN":
            continue
        prefix = "process" if "process.session.uid" in event.values else "actor.process"
        session = event.values[f"{prefix}.session.uid"]
        assert event.values[f"{prefix}.auid"] == int(str(logins[session]))


@pytest.mark.root
def test_every_kind_on_this_kernel(kernel_audit: AuditControl, tmp_path: Path) -> None:
    """The agent's own rules have this kernel tell of each activity, and it becomes what the table says."""
    assert kernel_audit.status().pid == 0
    tmp_path.chmod(0o755)
    numbers, records = {}, []
    (tmp_path / "state").mkdir()
    with recording(tmp_path / "state") as session:
        for activity in ACTIVITIES:
            (tmp_path / activity).mkdir()
            numbers[activity] = perform(activity, tmp_path / activity)
            records += session.receiver.drain()
        records += received(session)
    missing = {}
    for activity, number in numbers.items():
        kinds = _kinds(_events([line.encode() for line in lines(session_records(records, {number}))]))
        if ACTIVITIES[activity][1] not in kinds:
            missing[activity] = kinds
    assert missing == {}
