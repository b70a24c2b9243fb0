"""Text logs of Unix machines: syslog in its forms, the journal's JSON export, and the logs of web servers.

Nothing is refused: a line of no known form is a Base Event, the line its message, at the time of the line before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

from tocsin.model.event import Event, Value
from tocsin.normalize.syslog import journal, weblog
from tocsin.normalize.syslog.line import Line, LineReader
from tocsin.normalize.syslog.meaning import event_of

__all__ = ["read_events", "read_line"]

_BASE_EVENT = 0
_WEB_SERVERS = frozenset({"nginx", "apache", "apache2", "httpd"})


def read_events(lines: Iterable[bytes], *, before_ms: int, zone: dt.tzinfo = dt.UTC) -> Iterator[Event]:
    """An event for every line that is not blank.

    Times without a year get the latest one that does not put them more than a day after `before_ms`: when the file was
    last written, or now. Times without a zone are of `zone`.
    """
    reader, time = LineReader(before_ms, zone), before_ms
    for line in lines:
        text = line.decode("utf-8", "backslashreplace").rstrip()
        if not text:
            continue
        event = read_line(text, reader, time)
        time = int(event.values["time"])
        yield event


def read_line(text: str, reader: LineReader, time: int) -> Event:
    """The event of one line; `time` is that of a line that says none."""
    if text.startswith("{") and (entry := journal.read(text)):
        return event_of(entry)
    if entry := reader.read(text):
        return _of_web_server(entry, reader) or event_of(entry)
    return weblog.read(text, reader) or _unknown(text, time)


def _of_web_server(entry: Line, reader: LineReader) -> Event | None:
    """What a web server sends to syslog: its log's line, with a head before it."""
    if entry.program not in _WEB_SERVERS or (event := weblog.read(entry.text, reader)) is None:
        return None
    head = event_of(entry).values
    event.values |= {path: head[path] for path in ("device.hostname", "metadata.log_provider") if path in head}
    return event


def _unknown(text: str, time: int) -> Event:
    values: dict[str, Value] = {
        "time": time,
        "activity_id": 0,
        "severity_id": 1,
        "message": text,
        "status_detail": "a line of no known form",
        "metadata.log_name": "syslog",
        "device.hostname": "unknown",
        "device.type_id": 0,
    }
    return Event(_BASE_EVENT, values)
