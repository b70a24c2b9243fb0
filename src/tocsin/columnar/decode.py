"""From an entry of the log to a batch that may be put into frames."""

from __future__ import annotations

from tocsin.columnar.check import check
from tocsin.columnar.frame import Batch
from tocsin.model.errors import InvalidBatch
from tocsin.model.wire import decode_body, decode_envelope
from tocsin.ports import LogEntry

__all__ = ["decode"]


def decode(entry: LogEntry) -> Batch:
    """Open a log entry as far as columns; a tombstone has none.

    Raises:
        InvalidBatch: it cannot be read, is not the batch that the log's index says, or does not fit the schema.
    """
    envelope, header = decode_envelope(entry.payload)
    if (header.org, header.origin, header.epoch, header.sequence) != (
        entry.org,
        entry.origin,
        entry.epoch,
        entry.sequence,
    ):
        raise InvalidBatch(f"batch {header.sequence} of {header.origin} is filed as {entry.sequence} of {entry.origin}")
    sections = decode_body(envelope, header)
    if envelope.body:
        check(header, sections)
    return entry, header, sections
