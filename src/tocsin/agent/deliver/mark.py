"""Up to which event of the kernel everything is in the spool: what a killed agent leaves to the one that follows it.

The audit gives every event the next serial number, whether anybody listens or not. So the next agent counts as lost
whatever lies between the mark and the first event that it sees itself: what the killed one held in memory, and what
came while there was none. An agent that is stopped leaves no mark, as it is no longer asked to watch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Mark", "MarkFile"]

NAME: Final = "mark"
SIZE: Final = 256


class Mark(msgspec.Struct, frozen=True):
    """How far the last agent had come."""

    boot_id: str
    serial: int
    kernel_lost: int  # the kernel's own count, as far as a batch in the spool says it


class MarkFile:
    """The mark in a folder; written without syncing, since after a power failure the serials begin anew."""

    def __init__(self, folder: Path, boot_id: str) -> None:
        self._path, self._boot_id = folder / NAME, boot_id
        self._written: Mark | None = None

    def left(self) -> Mark | None:
        """What an agent that was killed has left in this run of the machine."""
        try:
            mark = msgspec.json.decode(self._path.read_bytes().rstrip(), type=Mark)
        except (OSError, msgspec.MsgspecError):
            return None
        return mark if mark.boot_id == self._boot_id else None

    def write(self, serial: int, kernel_lost: int) -> None:
        """Note how far the spool holds what has happened; a full disk leaves the old mark, and more counts as lost."""
        mark = Mark(self._boot_id, serial, kernel_lost)
        if mark == self._written:
            return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            # One write of one size: whoever is killed leaves the old or the new one.
            os.pwrite(descriptor, msgspec.json.encode(mark).ljust(SIZE), 0)
            os.close(descriptor)
            self._written = mark
        except OSError:
            return

    def remove(self) -> None:
        """Leave nothing: what happens from now on is nobody's to watch."""
        self._path.unlink(missing_ok=True)
