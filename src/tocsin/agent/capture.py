"""From the kernel's records to events that are ready to be shipped: parse, reassemble, map, enrich, redact."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tocsin.model.errors import InvalidRecord
from tocsin.model.event import Event, Value
from tocsin.normalize.auditd.map import map_event
from tocsin.normalize.auditd.parse import kernel_stamp, parse_kernel
from tocsin.normalize.auditd.reassemble import AuditEvent, Reassembler
from tocsin.normalize.auditd.tables import record_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tocsin.agent.audit.netlink import Record
    from tocsin.agent.config import ExcludeSettings
    from tocsin.agent.host.enrich import Enricher
    from tocsin.agent.operate.health import Health
    from tocsin.agent.redact import Redactor

__all__ = ["Capture"]

FIRST_RECORD_TYPE: Final = 1100  # below are answers to requests, but for one
LOGIN: Final = 1006
EOE: Final = 1320  # a third of all records
REPLACE: Final = 1329  # the kernel asks whether its daemon is alive; receiving it is the answer
UNREADABLE: Final = 0  # class of an event that holds a record as it came
_EXCLUDABLE: Final = frozenset({1001, 1007, 4001})


class Capture:
    """Turns records into events; holds the events that are not whole yet."""

    def __init__(self, enricher: Enricher, redactor: Redactor, exclude: ExcludeSettings, health: Health) -> None:
        self._enricher, self._redactor, self._health = enricher, redactor, health
        self._reassembler = Reassembler()
        self._excluded_exes = frozenset(exe for exe in exclude.exe if not exe.endswith("*"))
        self._excluded_starts = tuple(exe[:-1] for exe in exclude.exe if exe.endswith("*"))
        self._excludes = bool(exclude.exe)
        self._own_pid = os.getpid()
        self._own_changes: set[tuple[str, str, str]] = set()
        self.excluded = self.own = 0

    @property
    def serial_gaps(self) -> int:
        """Events that the kernel began and that never came."""
        return self._reassembler.lost

    def take(self, records: Iterable[Record], now_ms: int) -> list[Event]:
        """The events that these records complete."""
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

    def expire(self, now_ms: int) -> list[Event]:
        """The events that have waited long enough for more records."""
        return self._finished(self._reassembler.expire(now_ms))

    def expect(self, own_changes: dict[str, tuple[int, int]]) -> None:
        """Count what the kernel tells of these changes to its settings, new and old value, as the agent's own doing.

        The kernel never records the system calls of its audit daemon: a change with a call is somebody else's.
        """
        self._own_changes = {(f"audit_{name}", str(new), str(old)) for name, (new, old) in own_changes.items()}

    def flush(self) -> list[Event]:
        """All events that wait; nothing more will come."""
        return self._finished(self._reassembler.flush())

    def _finished(self, whole: Sequence[AuditEvent]) -> list[Event]:
        events: list[Event] = []
        self._finish(whole, events)
        return events

    def _finish(self, whole: Sequence[AuditEvent], events: list[Event]) -> None:
        for audit_event in whole:
            if self._own_changes and self._is_own_change(audit_event):
                self.own += 1
                continue
            self._admit(map_event(audit_event), events)

    def admit(self, seen: Iterable[Event]) -> list[Event]:
        """Of mapped events, those to be kept, ready to be shipped."""
        events: list[Event] = []
        for event in seen:
            self._admit(event, events)
        return events

    def _admit(self, event: Event, events: list[Event]) -> None:
        if self._is_excluded(event):
            self.excluded += 1
            return
        self._enricher.enrich(event)
        self._redactor.redact(event)
        events.append(event)

    def _is_excluded(self, event: Event) -> bool:
        """The agent's own doings, seen when another daemon owns the audit; and what the settings exclude."""
        values = event.attributes() if event.shared and self._excludes else event.values
        if (event.shared or values).get("actor.process.pid") == self._own_pid:
            return True
        if event.class_uid not in _EXCLUDABLE or not self._excludes:
            return False
        exe = str(values.get("process.file.path") or values.get("actor.process.file.path", ""))
        return exe in self._excluded_exes or exe.startswith(self._excluded_starts)

    def _is_own_change(self, event: AuditEvent) -> bool:
        record = event.records[0]
        if record.type != "CONFIG_CHANGE" or len(event.records) > 1:
            return False
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
