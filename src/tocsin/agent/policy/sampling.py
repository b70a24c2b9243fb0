"""Which events a sample holds: decided by the event alone, so that a replay of the same events gives the same sample.

By the event and not by its process: a sample of one in a hundred is then one in a hundred of each process's events,
and counts can be scaled by the rate. The salt is the agent's id, which no other user of the host can read: nobody can
choose the moment at which what they do is left out.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.model.event import Event

__all__ = ["SAMPLE_RATE", "draw", "ticket"]

SAMPLE_RATE = "unmapped.sample_rate"
_SERIAL = "unmapped.audit.serial"
_OTHERWISE = ("actor.process.pid", "dst_endpoint.ip", "dst_endpoint.port", "query.hostname", "file.path")


def ticket(event: Event, salt: int) -> int:
    """A number from 0 to 2**32-1 drawn by the event; it is in a sample of one in N if N divides it."""
    values = event.values
    serial = values.get(_SERIAL)
    if serial is None:
        serial = "|".join(str(values.get(path, event.shared.get(path, ""))) for path in _OTHERWISE)
    return draw(f"{values.get('time')}:{serial}", salt)


def draw(text: str, salt: int) -> int:
    """The number that this text draws."""
    drawn = zlib.crc32(text.encode(), salt)
    # CRC-32 of numbers that differ by little differs by little: mixed once more (the finalizer of MurmurHash3).
    drawn = (drawn ^ drawn >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    drawn = (drawn ^ drawn >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return drawn ^ drawn >> 16
