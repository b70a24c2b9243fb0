"""Windows event logs as JSON, Sysmon's among them, in whatever shape the collector wrote them.

Every field of the event's data stays under its own name in `unmapped.source`, so that rules find it whatever the shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tocsin.model.event import Event, RefusedLine
from tocsin.normalize.lines import Object, read_json_lines
from tocsin.normalize.windows.event import event_of
from tocsin.normalize.windows.shape import read_entry

__all__ = ["normalize", "read_events"]


def read_events(lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    """Events of a Windows log: JSON objects a line each, in an array, or one over many lines."""
    return read_json_lines(lines, normalize, lambda nested: nested.get("Events") or nested.get("records"))


def normalize(nested: Object) -> Event:
    """One event of a Windows log.

    Raises:
        InvalidEvent: no event id, or no time.
    """
    return event_of(read_entry(nested))
