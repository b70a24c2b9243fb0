"""From Linux audit records to events: parse, reassemble, map; each usable alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tocsin.model.errors import InvalidRecord
from tocsin.model.event import Event, RefusedLine
from tocsin.normalize.auditd.lineage import Lineage
from tocsin.normalize.auditd.map import map_event
from tocsin.normalize.auditd.parse import parse_kernel, parse_line
from tocsin.normalize.auditd.reassemble import AuditEvent, Reassembler
from tocsin.normalize.auditd.record import AuditRecord

__all__ = ["AuditEvent", "AuditRecord", "Reassembler", "map_event", "parse_kernel", "parse_line", "read_events"]


def read_events(
    lines: Iterable[bytes], *, hostname: str = "unknown", reassembler: Reassembler | None = None
) -> Iterator[Event | RefusedLine]:
    """Events of an audit log, in the order in which they are complete, and every line that cannot be read.

    `hostname` names the machine in events whose lines name no node; afterwards `reassembler.lost` says how many events
    the log lacks. What a process's parent is called is known from the log's earlier events.
    """
    reassembler = Reassembler() if reassembler is None else reassembler
    lineage = Lineage()
    for item in _whole_events(lines, reassembler):
        if isinstance(item, RefusedLine):
            yield item
            continue
        event = map_event(item)
        event.values, event.shared = event.attributes(), {}
        event.values.setdefault("device.hostname", hostname)
        lineage.enrich(event)
        yield event


def _whole_events(lines: Iterable[bytes], reassembler: Reassembler) -> Iterator[AuditEvent | RefusedLine]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = parse_line(line)
        except InvalidRecord as error:
            yield RefusedLine(number, str(error), bytes(line))
        else:
            yield from reassembler.push(record)
    yield from reassembler.flush()
