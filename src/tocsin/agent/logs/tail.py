"""One file, read line by line as it grows."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tocsin.agent.logs.position import HEAD_BYTES, Position, head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Line", "Tail"]

CHUNK_BYTES: Final = 64 << 10
SKIP_BYTES: Final = 8 << 20  # that are passed over at once


class Line(NamedTuple):
    """A line without its end, where it begins, and how far the file is read with it."""

    text: bytes
    offset: int
    position: Position
    is_cut: bool = False


class Tail:
    """A file that is followed. `position` is how far it was read, which others may not have kept yet."""

    def __init__(self, descriptor: int, position: Position) -> None:
        self._descriptor, self.position = descriptor, position
        self.size, self._changed_ns = 0, -1  # when last looked at
        self.quiet_since_s: float | None = None  # of one whose name is another file's now

    @classmethod
    def open(cls, path: str) -> Tail:
        """The file from its beginning.

        Raises:
            OSError: it cannot be opened, or is no regular file.
        """
        # A FIFO would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(f"{path} is no regular file")
        return cls(descriptor, Position(path, status.st_dev, status.st_ino, 0))

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    @property
    def behind_bytes(self) -> int:
        """What is not read yet, as of the last look."""
        return max(self.size - self.position.offset, 0)

    def move(self, **to: int | str | bool) -> None:
        """Change the position."""
        self.position = msgspec.structs.replace(self.position, **to)

    def changed(self) -> bool:
        """Look at the file: whether somebody has written to it since the last look."""
        status = os.fstat(self._descriptor)
        before = self.size, self._changed_ns
        self.size, self._changed_ns = status.st_size, status.st_mtime_ns
        return before != (self.size, self._changed_ns)

    def continues(self, position: Position) -> bool:
        """Whether this is the file of a position, and holds what was read up to it."""
        size = os.fstat(self._descriptor).st_size
        return size >= position.offset and head_of(self._descriptor, position.head_bytes) == position.head

    def note_head(self) -> None:
        """Remember the beginning, or more of it than before."""
        if self.position.head_bytes < HEAD_BYTES and self.size > self.position.head_bytes:
            length = min(HEAD_BYTES, self.size)
            self.move(head=head_of(self._descriptor, length), head_bytes=length)

    def lines(self, longest: int, may_read: Callable[[], bool]) -> Iterator[Line]:
        """The whole lines that there are, as long as `may_read`; what is cut off of a long line is passed over."""
        chunk_bytes = max(CHUNK_BYTES, longest + 1)
        while chunk := os.pread(self._descriptor, chunk_bytes, self.position.offset):
            start, begin = 0, self.position.offset
            while start < len(chunk):
                end = chunk.find(b"\n", start)
                if self.position.is_within_long_line:
                    start = len(chunk) if end < 0 else end + 1
                    self.move(offset=begin + start, is_within_long_line=end < 0)
                    continue
                if end < 0 and len(chunk) - start <= longest:
                    break
                if not may_read():
                    return
                is_cut = end < 0 or end - start > longest
                text = chunk[start : start + longest] if is_cut else chunk[start:end]
                at, start = begin + start, start + longest if is_cut else end + 1
                self.move(offset=begin + start, is_within_long_line=is_cut)
                yield Line(text, at, self.position, is_cut)
            if start == 0 or len(chunk) < chunk_bytes:
                return

    def last_line(self, longest: int) -> Line | None:
        """What stands after the last line's end, in a file that nobody will write to again."""
        text = os.pread(self._descriptor, longest, self.position.offset)
        at = self.position.offset
        self.move(offset=at + len(text))
        return Line(text, at, self.position) if text else None

    def skip(self, to: int) -> int:
        """Pass over lines, up to this place or as many as can be at once; returns how many."""
        chunk = os.pread(self._descriptor, min(to - self.position.offset, SKIP_BYTES), self.position.offset)
        end = chunk.rfind(b"\n") + 1
        self.move(offset=self.position.offset + (end or len(chunk)), is_within_long_line=not end)
        return chunk.count(b"\n")
