"""Events that are OCSF already: read, checked, flattened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tocsin.model.event import Event, RefusedLine, flatten
from tocsin.normalize.lines import read_json_lines

__all__ = ["read_events"]


def read_events(lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    """OCSF events: one JSON object a line, or one array."""
    return read_json_lines(lines, flatten)
