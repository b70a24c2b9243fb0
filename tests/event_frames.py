"""Events as they reach detection: encoded for the wire, and gathered to frames."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.columnar.frame import Batch, Frame, frames
from tocsin.model.event import Event
from tocsin.model.wire import BatchHeader, encode_sections
from tocsin.ports import LogEntry

__all__ = ["frames_of"]


def frames_of(*batches: Sequence[Event], org: str = "org", origin: str = "host-1") -> dict[int, Frame]:
    """The frames of events that come in these batches, from one sender."""
    return frames([_batch(events, sequence, org, origin) for sequence, events in enumerate(batches) if events])


def _batch(events: Sequence[Event], sequence: int, org: str, origin: str) -> Batch:
    header = BatchHeader(1, org, origin, "boot", 1, sequence, b"", 0, 1, len(events), {}, 0, b"")
    entry = LogEntry(0, sequence, org, origin, 1, sequence, 1_700_000_000_000, b"")
    return entry, header, encode_sections(events)
