"""The source formats that can be read, by the name that people give them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tocsin.model.event import Event, RefusedLine
from tocsin.normalize import auditd, cloudtrail, kubernetes, ocsf, windows

__all__ = ["READERS", "Reader"]

Reader = Callable[[Iterable[bytes]], Iterator[Event | RefusedLine]]

READERS: dict[str, Reader] = {
    "auditd": auditd.read_events,
    "cloudtrail": cloudtrail.read_events,
    "k8s-audit": kubernetes.read_events,
    "ocsf": ocsf.read_events,
    "windows": windows.read_events,
}
