"""Group audit records into events.

The records of one event share (time, serial); those of different events interleave. An event is whole at its EOE,
which auditd does not log, or at its PROCTITLE, the last record before it; a message from user space or of auditd itself
stands alone. Everything else the kernel may or may not follow with a SYSCALL (LOGIN, CONFIG_CHANGE, ANOM_ABEND, AVC,
...), so it waits: until record time has moved on by the timeout, or too many wait. The wall clock is never asked, so
that a replay gives the same events; a live caller moves time on with `expire`.

Serials. The kernel takes a serial when the first record of an event is begun, after the exclude filter
has had its say: an excluded record leaves no gap (linux/kernel/audit.c, audit_log_start calls audit_filter before
audit_get_stamp). A gap is therefore an event that was begun and did not arrive: rate limit, or a receive buffer that
overran. An event dropped because the backlog was full leaves no gap, but counts in the kernel's own `lost`. If
another program takes some records away before they reach this reader, gaps mean nothing: then `count_gaps` is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tocsin.normalize.auditd import execve, tables
from tocsin.normalize.auditd.record import AuditRecord

__all__ = ["AuditEvent", "Reassembler"]

_SERIALS: Final = 2**32
_FARTHEST_GAP: Final = 2**24  # a jump beyond it is another boot, or the serial was set back
_REORDER_EVENTS: Final = 2  # an event waits for its late records until so many have begun after it
_LONE_MS: Final = 250
_OF_CALLS: Final = frozenset({"SYSCALL", "EXECVE", "PATH", "CWD", "SOCKADDR"})
_NOTHING: Final[tuple[AuditEvent, ...]] = ()


class AuditEvent:
    """The records that the kernel or a program wrote about one thing, in the order of their arrival."""

    __slots__ = ("_order", "node", "records", "serial", "split_arguments", "time_ms")

    def __init__(self, first: AuditRecord, order: int = 0) -> None:
        self._order = order
        self.node = first.node
        self.time_ms = first.time_ms
        self.serial = first.serial
        self.records = [first]
        self.split_arguments = first.type == "EXECVE" and execve.is_partial(first)

    def is_over(self, time_ms: int, timeout_ms: int, begun: int) -> bool:
        """Is it older than the timeout, and not the one that out-of-order records may still belong to?"""
        # Both ways: after the clock was set back, what was stamped before lies in the future.
        return abs(time_ms - self.time_ms) > timeout_ms and begun - self._order >= _REORDER_EVENTS

    def __repr__(self) -> str:
        return f"AuditEvent({self.time_ms}:{self.serial} {[record.type for record in self.records]})"


class Reassembler:
    """Records in, whole events out; see `lost` for the events that never came."""

    def __init__(self, timeout_ms: int = 2000, max_pending: int = 1024, *, count_gaps: bool = True) -> None:
        self._timeout_ms = timeout_ms
        self._max_pending = max_pending
        self._count_gaps = count_gaps
        self._nodes: dict[str, _Node] = {}

    @property
    def lost(self) -> int:
        """Events whose serial was passed over and has not come within the timeout and the cap."""
        return sum(node.gaps.lost for node in self._nodes.values())

    def resume(self, serial: int) -> None:
        """Go on behind that serial of the kernel's: what it has begun since and does not come is lost."""
        node = self._nodes.setdefault("", _Node(self._timeout_ms, self._max_pending, count_gaps=self._count_gaps))
        node.gaps.resume(serial)

    @property
    def settled(self) -> int | None:
        """The serial of the kernel's up to which every event has been given or counted as lost; None before the first.

        Of events beyond it some may have been given too.
        """
        node = self._nodes.get("")
        return node.settled() if node else None

    @property
    def pending(self) -> int:
        """Events that wait for more records."""
        return sum(len(node.pending) for node in self._nodes.values())

    def push(self, record: AuditRecord) -> Sequence[AuditEvent]:
        """Take one record; give the events that are whole now, usually none."""
        node = self._nodes.get(record.node)
        if node is None:
            node = self._nodes[record.node] = _Node(self._timeout_ms, self._max_pending, count_gaps=self._count_gaps)
        kind = record.type
        if kind == "EOE":
            return node.end((record.time_ms, record.serial))
        event = node.pending.get((record.time_ms, record.serial))
        if event is None:
            return node.begin(record)
        event.records.append(record)
        if kind == "PROCTITLE":
            return node.end((record.time_ms, record.serial))
        if kind == "EXECVE" and execve.is_partial(record):
            event.split_arguments = True
        return _NOTHING

    def end(self, stamp: tuple[int, int]) -> Sequence[AuditEvent]:
        """Give the event of this time and serial, whose EOE has come; nothing, if it began before anyone listened.

        For who knows that a record is an EOE without reading it, and of a kernel, which has no node.
        """
        node = self._nodes.get("")
        return node.end(stamp) if node else _NOTHING

    def skip(self, stamp: tuple[int, int]) -> None:
        """The event of this time and serial is left out on purpose: it is no gap. For who knows a kernel's records."""
        node = self._nodes.get("")
        if node is not None and self._count_gaps:
            node.gaps.see(stamp[1], stamp[0], self._timeout_ms)

    def expire(self, time_ms: int) -> list[AuditEvent]:
        """Give the events that are older than the timeout at this time, by the clock that stamps the records.

        Sooner, those of which nothing says that a system call is behind them: what would follow comes at once.
        """
        return [event for node in self._nodes.values() for event in node.expire(time_ms)]

    def flush(self) -> list[AuditEvent]:
        """Give everything that waits, and count every open gap as lost: nothing more will come."""
        return [event for node in self._nodes.values() for event in node.flush()]


class _Node:
    """One machine's events: each has its own serials and its own clock."""

    __slots__ = ("begun", "count_gaps", "gaps", "max_pending", "pending", "time_ms", "timeout_ms")

    def __init__(self, timeout_ms: int, max_pending: int, *, count_gaps: bool) -> None:
        self.timeout_ms = timeout_ms
        self.max_pending = max_pending
        self.count_gaps = count_gaps
        self.gaps = _Gaps(max_pending)
        self.pending: dict[tuple[int, int], AuditEvent] = {}  # by time and serial
        self.time_ms = 0
        self.begun = 0

    def settled(self) -> int | None:
        """See `Reassembler.settled`."""
        awaited = min((serial for _, serial in self.pending), default=None)
        return self.gaps.settled(awaited)

    def end(self, stamp: tuple[int, int]) -> Sequence[AuditEvent]:
        event = self.pending.pop(stamp, None)
        if event is None:
            return _NOTHING
        return (_whole(event) if event.split_arguments else event,)

    def begin(self, record: AuditRecord) -> Sequence[AuditEvent]:
        """Open an event; time has moved on, so old ones may be over."""
        stamp = record.time_ms, record.serial
        if not record.time_ms:
            record.time_ms = self.time_ms  # AUDIT_REPLACE has no header: it belongs to the time it was logged at
        self.time_ms = record.time_ms
        if self.count_gaps and _is_numbered(record.type):
            self.gaps.see(record.serial, record.time_ms, self.timeout_ms)
        self.begun += 1
        event = AuditEvent(record, self.begun)
        if _stands_alone(record.type):
            return (*self._expired(record.time_ms), event)
        self.pending[stamp] = event
        return self._expired(record.time_ms) if len(self.pending) > 1 else _NOTHING

    def _expired(self, time_ms: int) -> Sequence[AuditEvent]:
        oldest = next(iter(self.pending.values()), None)
        if oldest is None:
            return _NOTHING
        if len(self.pending) <= self.max_pending and not oldest.is_over(time_ms, self.timeout_ms, self.begun):
            return _NOTHING
        return self._give_old(time_ms, self.begun)

    def expire(self, time_ms: int) -> list[AuditEvent]:
        if not self.pending:
            return []
        old = self._give_old(time_ms, self.begun + _REORDER_EVENTS)
        lone = [
            stamp
            for stamp, event in self.pending.items()
            if len(event.records) == 1
            and event.records[0].type not in _OF_CALLS
            and abs(time_ms - event.time_ms) > min(_LONE_MS, self.timeout_ms)
        ]
        return [*old, *map(self.pending.pop, lone)]

    def _give_old(self, time_ms: int, begun: int) -> list[AuditEvent]:
        expired = []
        for key, event in list(self.pending.items()):
            if len(self.pending) <= self.max_pending and not event.is_over(time_ms, self.timeout_ms, begun):
                break
            expired.append(_whole(self.pending.pop(key)))
        return expired

    def flush(self) -> list[AuditEvent]:
        events = [_whole(event) for event in self.pending.values()]
        self.pending.clear()
        self.gaps.settle()
        return events


class _Gaps:
    """Serials that were passed over; one that comes late is not lost."""

    __slots__ = ("_capacity", "_last", "_missing", "_resumes", "lost")

    def __init__(self, capacity: int) -> None:
        self.lost = 0
        self._capacity = capacity
        self._last: int | None = None
        self._resumes = False
        self._missing: dict[int, int] = {}  # serial -> time at which it was passed over

    def see(self, serial: int, time_ms: int, timeout_ms: int) -> None:
        """Note the serial of a new event; at its time, old gaps are losses."""
        last, self._last = self._last, serial
        if last is None or serial == (last + 1) % _SERIALS:
            self._resumes = False
            if self._missing:
                self._settle_before(time_ms, timeout_ms)
            return
        ahead = (serial - last) % _SERIALS
        if self._resumes and 0 < ahead <= _FARTHEST_GAP:
            self.lost += ahead - 1
        elif 0 < ahead <= _FARTHEST_GAP:
            self._pass_over(last, ahead - 1, time_ms)
        elif self._missing.pop(serial, None) is not None or (-ahead) % _SERIALS <= self._capacity:
            self._last = last  # late, not a new beginning
        self._resumes = False
        self._settle_before(time_ms, timeout_ms)

    def resume(self, serial: int) -> None:
        """Go on behind a serial; what lies between it and the first event that comes is lost at once.

        Nobody listened then, and of what the kernel kept for whoever comes the oldest comes first.
        """
        self._last, self._resumes = serial, True

    def settled(self, awaited: int | None) -> int | None:
        """The newest serial, or the one before the oldest that is missing or awaited."""
        open_serials = [serial for serial in (awaited, next(iter(self._missing), None)) if serial is not None]
        return min(open_serials) - 1 if open_serials else self._last

    def settle(self) -> None:
        """Count every open gap as lost."""
        self.lost += len(self._missing)
        self._missing.clear()

    def _pass_over(self, last: int, count: int, time_ms: int) -> None:
        """Remember the newest of a gap's serials; of more than fit, the others are lost at once."""
        remembered = min(count, self._capacity)
        self.lost += count - remembered
        for step in range(count - remembered + 1, count + 1):
            self._missing[(last + step) % _SERIALS] = time_ms
        while len(self._missing) > self._capacity:
            del self._missing[next(iter(self._missing))]
            self.lost += 1

    def _settle_before(self, time_ms: int, timeout_ms: int) -> None:
        while self._missing:
            serial, passed_ms = next(iter(self._missing.items()))
            if abs(time_ms - passed_ms) <= timeout_ms:
                return
            del self._missing[serial]
            self.lost += 1


@lru_cache(maxsize=1024)
def _is_numbered(kind: str) -> bool:
    """Does its serial come from the kernel? auditd numbers its own records itself; AUDIT_REPLACE has none."""
    return not kind.startswith("DAEMON_") and kind != "REPLACE"


@lru_cache(maxsize=1024)
def _stands_alone(kind: str) -> bool:
    """Is an event of this kind never followed by another record of the same serial?

    Of the kernel's kinds that may stand alone, all may also belong to a system call; LOGIN does on current kernels.
    """
    number = tables.type_number(kind)
    first_kernel, last_kernel = 1300, 2099
    return (
        kind == "PROCTITLE"
        or (bool(number) and kind != "LOGIN" and not first_kernel <= number <= last_kernel)
        or kind in {"KERNEL", "REPLACE"}
    )


def _whole(event: AuditEvent) -> AuditEvent:
    if event.split_arguments:
        parts = [record for record in event.records if record.type == "EXECVE"]
        first = event.records.index(parts[0])
        event.records = [record for record in event.records if record.type != "EXECVE"]
        event.records.insert(first, execve.join(parts))
    return event
