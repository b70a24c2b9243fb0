"""A file of the spool: batches one after another, each with its length and CRC-32 before it.

What cannot be read, as the tail after a power failure, is cut off and counted.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tocsin.model.errors import InvalidBatch
from tocsin.model.wire import decode_envelope

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Entry", "Segment", "open_segments"]

FRAME: Final = struct.Struct("=II")
SUFFIX: Final = ".spool"


@dataclass(eq=False, slots=True)
class Entry:
    """A batch in a segment, and what the spool must know of it without reading it."""

    segment: Segment
    offset: int
    length: int
    sender: tuple[str, str]
    epoch: int
    sequence: int
    priority: int
    rows: int
    hash: bytes
    buried: bool

    def place(self) -> tuple[int, int]:
        """Its place in the agent's chain."""
        return self.epoch, self.sequence

    def read(self) -> bytes:
        """The envelope."""
        return self.segment.read(self.offset, self.length)


class Segment:
    """An append-only file of batches, open until it is deleted."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.entries: list[Entry] = []
        self.damaged_bytes = 0
        self.size = 0
        self._path = folder / f"{number:08d}{SUFFIX}"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        self._load()

    def _load(self) -> None:
        whole = os.pread(self._file, os.fstat(self._file).st_size, 0)
        while (raw := _frame_at(whole, self.size)) is not None:
            try:
                self._note(raw)
            except InvalidBatch:
                break
        self.damaged_bytes = len(whole) - self.size
        if self.damaged_bytes:
            os.ftruncate(self._file, self.size)

    def append(self, envelope: bytes) -> Entry:
        """Write an envelope at the end; not synced.

        Raises:
            OSError: no room; what was written of it is overwritten by the next, or cut off at the next start.
        """
        _write_all(self._file, _framed(envelope), self.size)
        return self._note(envelope)

    def _note(self, raw: bytes) -> Entry:
        envelope, header = decode_envelope(raw)
        entry = Entry(
            self,
            self.size + FRAME.size,
            len(raw),
            (header.org, header.agent),
            header.epoch,
            header.sequence,
            header.priority,
            header.rows,
            hashlib.sha256(envelope.header).digest(),
            buried=not envelope.body,
        )
        self.entries.append(entry)
        self.size += FRAME.size + len(raw)
        return entry

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file."""
        return os.pread(self._file, length, offset)

    def rewrite(self, change: Callable[[Entry, bytes], bytes]) -> None:
        """Replace the file by one with changed envelopes; a crash leaves the old or the new one."""
        changed = [(entry, change(entry, entry.read())) for entry in self.entries]
        part = self._path.with_suffix(".part")
        file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(file, b"".join(_framed(raw) for _, raw in changed), 0)
            os.fsync(file)
            part.replace(self._path)
        except OSError:
            os.close(file)
            part.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self.size = file, 0
        for entry, raw in changed:
            entry.offset, entry.length = self.size + FRAME.size, len(raw)
            entry.buried = not decode_envelope(raw)[0].body
            self.size += FRAME.size + len(raw)

    def sync(self) -> None:
        """Make what was appended survive a power failure."""
        os.fdatasync(self._file)

    def delete(self) -> None:
        """Remove the file."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)


def open_segments(folder: Path) -> list[Segment]:
    """The segments in a folder, oldest first."""
    numbers = sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())
    return [Segment(folder, number) for number in numbers]


def _framed(envelope: bytes) -> bytes:
    return FRAME.pack(len(envelope), zlib.crc32(envelope)) + envelope


def _frame_at(whole: bytes, offset: int) -> bytes | None:
    if offset + FRAME.size > len(whole):
        return None
    length, checksum = FRAME.unpack_from(whole, offset)
    raw = whole[offset + FRAME.size : offset + FRAME.size + length]
    return raw if len(raw) == length and zlib.crc32(raw) == checksum else None


def _write_all(file: int, content: bytes, offset: int) -> None:
    while content:
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written
