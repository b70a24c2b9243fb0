"""Connections that are left out before they are read: the same ones as the gate would leave out."""

from __future__ import annotations

import platform

import pytest

from tocsin.agent.audit.netlink import Record
from tocsin.agent.audit.rule_fields import ARCHES
from tocsin.agent.capture import Capture
from tocsin.agent.host.enrich import Enricher
from tocsin.agent.host.processes import ProcessTable
from tocsin.agent.host.users import Users
from tocsin.agent.operate.health import Health
from tocsin.agent.policy.document import Handling, Policy
from tocsin.agent.policy.gate import Gate
from tocsin.agent.redact import Redactor
from tocsin.model.event import Event
from tocsin.normalize.auditd.tables import syscall_names

NETWORK, EVENTS = 4001, 400
ARCH = platform.machine()
NUMBER = {name: number for number, name in syscall_names()[ARCH].items()}
PROCESS = 'ppid=1 pid=777 auid=4294967295 uid=0 euid=0 tty=(none) ses=4294967295 comm="a" exe="/bin/a"'


def event(serial: int, call: str = "connect", success: str = "yes") -> list[Record]:
    """The records of a call, as the kernel writes them."""
    stamp = f"audit(1790000000.{serial % 1000:03d}:{serial}): "
    code = f"arch={ARCHES[ARCH]:x} syscall={NUMBER[call]} success={success} exit=0"
    said = [(1300, f"{code} a0=3 a1=7ffc a2=10 a3=0 items=0 {PROCESS}")]
    said += [(1306, "saddr=02000050C00002010000000000000000")] if call == "connect" else []
    return [(kind, f"{stamp}{text}".encode()) for kind, text in [*said, (1320, "")]]


def interleaved() -> list[Record]:
    """Connections of which each begins before the one before has ended, and other calls among them."""
    records: list[Record] = []
    waiting: list[Record] = []
    for serial in range(1, EVENTS + 1):
        first, *rest = event(serial, "setuid" if serial % 40 == 0 else "connect", "no" if serial % 50 == 0 else "yes")
        records += [first, *waiting]
        waiting = rest
    return records + waiting


def captured(policy: Policy, *, shedding: bool) -> tuple[list[Event], dict[str, int], int]:
    redactor = Redactor()
    capture = Capture(Enricher(ProcessTable(redactor.clean, "boot"), Users()), redactor, Health("test"))
    gate = Gate(policy, salt="a1", clock=lambda: 0.0, uid_of=lambda _name: None, lowered={NETWORK: 8})
    if not shedding:
        gate.shedder = None
    capture.gate = gate
    records = interleaved()
    events = [each for start in range(0, len(records), 50) for each in capture.take(records[start : start + 50], 0)]
    events += capture.flush()
    return events, capture.take_not_kept(), capture.serial_gaps


@pytest.mark.parametrize("policy", [Policy(), Policy(events={(NETWORK, None): Handling(sample=3)})])
def test_the_same_events_are_kept_whether_they_are_read_before_or_not(policy: Policy) -> None:
    """Only the time differs: events, reasons and rates are the same, and nothing left out counts as lost."""
    read, why_read, gaps_read = captured(policy, shedding=False)
    shed, why_shed, gaps_shed = captured(policy, shedding=True)
    assert [each.attributes() for each in shed] == [each.attributes() for each in read]
    assert why_shed == why_read
    assert (gaps_read, gaps_shed) == (0, 0)
    assert len(shed) + sum(why_shed.values()) == EVENTS
    assert why_shed["adaptive/4001"] > 50
    assert sum(each.values["metadata.event_code"] == "setuid" for each in shed) == EVENTS // 40


def test_activities_that_are_handled_differently_are_read() -> None:
    """Before reading nobody knows the activity."""
    policy = Policy(events={(NETWORK, 7): Handling(sample=1)})
    assert Gate(policy, salt="", clock=lambda: 0.0, uid_of=lambda _name: None, lowered={NETWORK: 8}).shedder is None
    assert Gate(Policy(), salt="", clock=lambda: 0.0, uid_of=lambda _name: None).shedder is None
