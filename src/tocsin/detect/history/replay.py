"""Events that are at hand, judged as if they had come in batches: the same path as live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from tocsin.columnar.frame import Frame, frames
from tocsin.detect.evaluate.engine import Engine, Placed
from tocsin.model.event import Event, Json, RefusedLine
from tocsin.model.finding import Finding
from tocsin.model.wire import BatchHeader, encode_sections, expand
from tocsin.normalize.lines import read_json_lines
from tocsin.ports import LogEntry

__all__ = ["frames_of", "raw_events", "replay"]

_ROWS: Final = 4096


def replay(
    engine: Engine,
    events: Iterable[Event],
    *,
    org: str = "local",
    origin: str = "local",
    placed: Placed | None = None,
) -> Iterator[Finding]:
    """The findings of events, a batch at a time."""
    source = iter(events)
    sequence = 0
    while batch := list(islice(source, _ROWS)):
        yield from engine.findings(frames_of(batch, org=org, origin=origin, sequence=sequence), placed)
        sequence += 1


def raw_events(lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    """JSON objects, one a line, as events in their own terms; for rules that are loaded with the mapping RAW."""
    return read_json_lines(lines, _raw)


def _raw(original: dict[str, Json]) -> Event:
    return Event(0, {"time": 0, "unmapped.source": msgspec.json.encode(original).decode()})


def frames_of(events: Sequence[Event], *, org: str, origin: str, sequence: int = 0) -> dict[int, Frame]:
    """The frames of one batch of events from one origin."""
    header = BatchHeader(1, org, origin, "", 0, sequence, b"", 0, 1, len(events), {}, 0, b"")
    entry = LogEntry(0, sequence, org, origin, 0, sequence, 0, b"")
    sections = encode_sections(events)
    for section in sections:
        expand(section)
    return frames([(entry, header, sections)])
