"""The source formats that can be read, by the name that people give them."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator

from tocsin.model.event import Event, RefusedLine
from tocsin.normalize import auditd, cloudtrail, kubernetes, objects, ocsf, syslog, windows

__all__ = ["READERS", "Reader", "syslog_reader"]

Reader = Callable[[Iterable[bytes]], Iterator[Event | RefusedLine]]


def syslog_reader(before_ms: int, zone: dt.tzinfo) -> Reader:
    """A reader of text logs whose last line was written at that time, by clocks of that zone."""
    return lambda lines: syslog.read_events(lines, before_ms=before_ms, zone=zone)


def _syslog_now(lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    return syslog.read_events(lines, before_ms=_now_ms())


def _objects_now(lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    return objects.read_events(lines, now_ms=_now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


READERS: dict[str, Reader] = {
    "auditd": auditd.read_events,
    "cloudtrail": cloudtrail.read_events,
    "json": _objects_now,
    "k8s-audit": kubernetes.read_events,
    "ocsf": ocsf.read_events,
    "syslog": _syslog_now,
    "windows": windows.read_events,
}
