"""From an entry of the log to a batch that may be put into frames."""

from __future__ import annotations

import threading
from collections import OrderedDict

from tocsin.columnar.check import check
from tocsin.columnar.frame import Batch
from tocsin.model.errors import InvalidBatch
from tocsin.model.wire import decode_body, decode_envelope
from tocsin.ports import LogEntry

__all__ = ["RecentBatches", "decode"]


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


class RecentBatches:
    """Decodes the entries of one log once for several consumers in a process that read them at about the same time."""

    def __init__(self, max_batches: int = 512) -> None:
        self._max_batches = max_batches
        self._lock = threading.Lock()
        self._batches: OrderedDict[tuple[int, int], Batch] = OrderedDict()

    def decode(self, entry: LogEntry) -> Batch:
        """As `decode`; nobody may change what it gives.

        Raises:
            InvalidBatch: see there.
        """
        place = (entry.partition, entry.offset)
        with self._lock:
            known = self._batches.get(place)
        if known is not None:
            return known
        batch = decode(entry)
        with self._lock:
            self._batches[place] = batch
            if len(self._batches) > self._max_batches:
                self._batches.popitem(last=False)
        return batch
