"""The format of an archive's file: batches one after another, each in a frame that can be found again after damage.

    frame = "tcs1", length (u32), CRC-32 (u32), msgpack ArchivedBatch

The batch's payload is the envelope that its sender signed, byte for byte. The checksum only finds where a file is
damaged; what proves a batch is its sender's signature.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec

from tocsin.ports import LogEntry

__all__ = ["ArchivedBatch", "Damage", "frame", "unframe"]

_MAGIC = b"tcs1"
_HEAD = struct.Struct("<4sII")


class ArchivedBatch(LogEntry, frozen=True, array_like=True, gc=False):
    """A batch as the log held it, and which version of Tocsin made rows of it."""

    version: str


class Damage(msgspec.Struct, frozen=True):
    """Bytes of a file that are not what was written; names the batch where it can still be read."""

    at: int
    batch: ArchivedBatch | None = None


_decode = msgspec.msgpack.Decoder(ArchivedBatch).decode


def frame(entry: LogEntry, version: str) -> bytes:
    """A batch as it lies in a file."""
    archived = ArchivedBatch(**msgspec.structs.asdict(entry), version=version)
    content = msgspec.msgpack.encode(archived)
    return _HEAD.pack(_MAGIC, len(content), zlib.crc32(content)) + content


def unframe(whole: bytes) -> Iterator[ArchivedBatch | Damage]:
    """Every batch of a file, and every stretch of it that is none; goes on behind what is damaged."""
    at = 0
    while at < len(whole):
        content = _content(whole, at)
        if content is None:
            yield Damage(at)
            at = _next_frame(whole, at + 1)
            continue
        batch = _batch(content)
        intact = batch is not None and zlib.crc32(content) == _HEAD.unpack_from(whole, at)[2]
        yield batch if batch is not None and intact else Damage(at, batch)
        # A length that is wrong leads astray: then the next frame is looked for.
        following = at + _HEAD.size + len(content)
        astray = following < len(whole) and _content(whole, following) is None and not intact
        at = _next_frame(whole, at + 1) if astray else following


def _content(whole: bytes, at: int) -> bytes | None:
    if at + _HEAD.size > len(whole):
        return None
    magic, length, _checksum = _HEAD.unpack_from(whole, at)
    content = whole[at + _HEAD.size : at + _HEAD.size + length]
    return content if magic == _MAGIC and len(content) == length else None


def _next_frame(whole: bytes, start: int) -> int:
    found = whole.find(_MAGIC, start)
    return found if found >= 0 else len(whole)


def _batch(content: bytes) -> ArchivedBatch | None:
    try:
        return _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
