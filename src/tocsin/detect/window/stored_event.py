"""An event as the state keeps it beside a match: flat, small, quick to write."""

from __future__ import annotations

import msgspec
import zstandard

from tocsin.model.event import Event, Value
from tocsin.model.wire import PlainRecord

__all__ = ["read_event", "stored_event"]


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    class_uid: int
    values: dict[str, Value]
    records: tuple[PlainRecord, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


def stored_event(event: Event) -> bytes:
    """The event, to be read with `read_event`."""
    records = tuple(PlainRecord(each.type, tuple(each.keys), tuple(each.values)) for each in event.records)
    # The one-shot functions may be called from several threads at once; a compressor must not.
    return zstandard.compress(_encode(_Stored(event.class_uid, event.attributes(), records)), 1)


def read_event(stored: bytes) -> Event:
    """The event that was stored."""
    found = _decode(zstandard.decompress(stored))
    return Event(found.class_uid, found.values, found.records)
