"""How far each log was read: what a restart goes on from.

A file is known by device, inode and the hash of its beginning, not by its name: logs are renamed, and inodes are used
again. Positions are written once the spool holds what was read up to them, by renaming, so that a kill leaves the old
ones or the new ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HEAD_BYTES", "Position", "Remembered", "head_of", "read_positions", "write_positions"]

HEAD_BYTES: Final = 256


class Position(msgspec.Struct, frozen=True):
    """How far a file was read."""

    path: str
    device: int
    inode: int
    offset: int
    head: str = ""  # hash of the file's first `head_bytes`
    head_bytes: int = 0
    is_within_long_line: bool = False  # what comes up to the end of the line was cut off

    @property
    def key(self) -> tuple[int, int]:
        """What the kernel knows the file by."""
        return self.device, self.inode


class Remembered(msgspec.Struct):
    """All that is remembered: positions, the patterns that were followed, where the journal was left."""

    patterns: list[str] = []
    files: list[Position] = []
    cursor: str = ""


def head_of(descriptor: int, length: int) -> str:
    """The hash of a file's first bytes; empty of none."""
    return hashlib.sha256(os.pread(descriptor, length, 0)).hexdigest()[:32] if length else ""


def read_positions(file: Path) -> Remembered | None:
    """None if nothing was ever remembered, or it cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Remembered)
    except (OSError, msgspec.MsgspecError):
        return None


def write_positions(file: Path, remembered: Remembered) -> None:
    """Replace the positions; on a full disk the old ones stay, and lines come twice after a restart."""
    part = file.with_suffix(".part")
    with contextlib.suppress(OSError):
        part.write_bytes(msgspec.json.encode(remembered))
        part.replace(file)
