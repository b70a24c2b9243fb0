"""From the kernel's records to events that are ready to be shipped: parse, reassemble, map, enrich, redact."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tocsin.agent.host.sockets import with_address
from tocsin.agent.policy.kernel import KEY as POLICY_KEY
from tocsin.agent.policy.protected import NETWORK
from tocsin.agent.sensor import Sensors
from tocsin.model.errors import InvalidRecord
from tocsin.model.event import Event, Value
from tocsin.normalize.auditd.map import map_event
from tocsin.normalize.auditd.parse import kernel_stamp, parse_kernel
from tocsin.normalize.auditd.reassemble import AuditEvent, Reassembler
from tocsin.normalize.auditd.tables import record_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tocsin.agent.audit.netlink import Record
    from tocsin.agent.host.enrich import Enricher
    from tocsin.agent.operate.health import Health
    from tocsin.agent.policy.gate import Gate
    from tocsin.agent.redact import Redactor

__all__ = ["Capture"]

FIRST_RECORD_TYPE: Final = 1100  # below are answers to requests, but for one
LOGIN: Final = 1006
EOE: Final = 1320  # a third of all records
REPLACE: Final = 1329  # the kernel asks whether its daemon is alive; receiving it is the answer
FILE_ACTIVITY: Final = 1001
UNREADABLE: Final = 0  # class of an event that holds a record as it came
OWN: Final = "own"
LISTEN: Final = "listen"
_OF_TWO_SENSORS: Final = frozenset({1007, 4001})


class Capture:
    """Turns records into events; holds the events that are not whole yet. `gate` decides which are kept."""

    def __init__(self, enricher: Enricher, redactor: Redactor, health: Health) -> None:
        self._enricher, self._redactor, self._health = enricher, redactor, health
        self._reassembler = Reassembler()
        self._own_pid = os.getpid()
        self._own_changes: set[tuple[str, str, str]] = set()
        self._own_rules = 0
        self.gate: Gate | None = None
        self.sensors = Sensors()
        self._not_kept: dict[str, int] = {}

    @property
    def serial_gaps(self) -> int:
        """Events that the kernel began and that never came."""
        return self._reassembler.lost

    def resume(self, serial: int) -> None:
        """Go on where a killed agent has left off: what the kernel has begun since and never comes is lost."""
        self._reassembler.resume(serial)

    @property
    def settled(self) -> int | None:
        """The serial up to which every event of the kernel's has been given or counted as lost."""
        return self._reassembler.settled

    def take_not_kept(self) -> dict[str, int]:
        """Events that were not kept since the last call, by reason and, after a slash, class."""
        not_kept, self._not_kept = self._not_kept, {}
        return not_kept

    def take(self, records: Iterable[Record], now_ms: int) -> list[Event]:
        """The events that these records complete."""
        if self.gate is not None and self.gate.shedder is not None:
            records = self.gate.shedder.left_of(records, self._skip)
        events: list[Event] = []
        push, end, finish = self._reassembler.push, self._reassembler.end, self._finish
        for kind, payload in records:
            if kind == EOE and (stamp := kernel_stamp(payload)) is not None:
                whole = end(stamp)
                if whole:
                    finish(whole, events)
                continue
            if (kind < FIRST_RECORD_TYPE and kind != LOGIN) or kind == REPLACE:
                continue
            try:
                whole = push(parse_kernel(kind, payload))
            except InvalidRecord as error:
                events.append(self._unreadable(kind, payload, error, now_ms))
                continue
            if whole:
                finish(whole, events)
        return events

    def _skip(self, stamp: tuple[int, int], reason: str) -> None:
        self._reassembler.skip(stamp)
        self._leave_out(f"{reason}/{NETWORK}")

    def expire(self, now_ms: int) -> list[Event]:
        """The events that have waited long enough for more records."""
        return self._finished(self._reassembler.expire(now_ms))

    def expect(self, own_changes: dict[str, tuple[int, int]]) -> None:
        """Count what the kernel tells of these changes to its settings, new and old value, as the agent's own doing.

        The kernel never records the system calls of its audit daemon: a change with a call is somebody else's.
        """
        self._own_changes = {(f"audit_{name}", str(new), str(old)) for name, (new, old) in own_changes.items()}

    def expect_rules(self, changes: int) -> None:
        """Count so many of the rules of policies that come or go as the agent's own doing."""
        self._own_rules += changes

    def flush(self) -> list[Event]:
        """All events that wait; nothing more will come."""
        return self._finished(self._reassembler.flush())

    def _finished(self, whole: Sequence[AuditEvent]) -> list[Event]:
        events: list[Event] = []
        self._finish(whole, events)
        return events

    def _finish(self, whole: Sequence[AuditEvent], events: list[Event]) -> None:
        for audit_event in whole:
            if audit_event.records[0].type == "CONFIG_CHANGE" and self._is_own_change(audit_event):
                self._leave_out(OWN)
                continue
            event = map_event(audit_event)
            if not event.class_uid and event.values.get("metadata.event_code") == LISTEN:
                event = with_address(event)
            if event.class_uid in _OF_TWO_SENSORS and self.sensors.tell(event):
                self._health.count("told_twice")
                continue
            sensor = self.sensors.completing(event) if event.class_uid == FILE_ACTIVITY else None
            if sensor is None:
                self._admit(event, events)
            else:  # enriched now, while the process may still be there; it comes back to be admitted
                self._enricher.enrich(event)
                sensor.take(event)

    def admit(self, seen: Iterable[Event]) -> list[Event]:
        """Of mapped events, those to be kept, ready to be shipped."""
        events: list[Event] = []
        for event in seen:
            self._admit(event, events)
        return events

    def _admit(self, event: Event, events: list[Event]) -> None:
        # The agent's own doings are seen when another daemon owns the audit.
        if (event.shared or event.values).get("actor.process.pid") == self._own_pid:
            self._leave_out(OWN)
            return
        if self.gate is not None and (reason := self.gate.refuses(event)) is not None:
            self._leave_out(f"{reason}/{event.class_uid}")
            return
        self._enricher.enrich(event)
        self._redactor.redact(event)
        events.append(event)

    def _leave_out(self, reason: str) -> None:
        self._not_kept[reason] = self._not_kept.get(reason, 0) + 1

    def _is_own_change(self, event: AuditEvent) -> bool:
        record = event.records[0]
        if len(event.records) > 1:
            return False
        if self._own_rules and record.get("key") == POLICY_KEY:
            self._own_rules -= 1
            return True
        for name, new, old in self._own_changes:
            if (record.get(name), record.get("old")) == (new, old):
                self._own_changes.remove((name, new, old))
                return True
        return False

    def _unreadable(self, kind: int, payload: bytes, error: InvalidRecord, now_ms: int) -> Event:
        self._health.count("unreadable")
        text = payload.decode("utf-8", "backslashreplace")
        values: dict[str, Value] = {
            "time": now_ms,
            "activity_id": 99,
            "message": text,
            "status_detail": str(error),
            "metadata.log_name": "auditd",
            "metadata.event_code": record_type(kind),
        }
        return Event(UNREADABLE, values)
