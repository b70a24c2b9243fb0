"""The files that are followed: found by patterns, and found again when they are rotated.

Renamed, a log is read to its end under its new name, also if that was done while no agent ran. Copied and truncated,
the rest is read from the copy, which is known by its beginning. What is packed already is left alone.
"""

from __future__ import annotations

import glob
import os
import re
import time
from typing import TYPE_CHECKING, Final

from tocsin.agent.logs.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tocsin.agent.logs.position import Position

__all__ = ["Followed"]

_ROTATED: Final = re.compile(r"[.-]\d{1,10}$|\.(?:gz|xz|bz2|zst|zip|old|bak)$")
_PACKED: Final = (".gz", ".xz", ".bz2", ".zst", ".zip")
QUIET_S: Final = 30.0  # a server may write to a renamed log until it is told of the new one
MAX_SIBLINGS: Final = 1000


class Followed:
    """The open files. `gone` counts logs that could not be read to their end."""

    def __init__(self, patterns: Sequence[str], max_files: int) -> None:
        self._patterns, self._max_files = patterns, max_files
        self._tails: dict[tuple[int, int], Tail] = {}
        self._named: set[tuple[int, int]] = set()  # those that a pattern finds
        self.gone = 0
        self.trouble = ""

    def __iter__(self) -> Iterator[Tail]:
        return iter(list(self._tails.values()))

    def __len__(self) -> int:
        return len(self._tails)

    def resume(self, positions: Sequence[Position]) -> None:
        """Go on from where the files were left."""
        for position in positions:
            tail = _reopen(position.path, position) or _rotated(position)
            if tail is None:
                self.gone += 1
            elif tail.position.key in self._tails:
                tail.close()
            else:
                self._tails[tail.position.key] = tail

    def look(self, *, from_end: Sequence[str] = ()) -> None:
        """Find files that are new; those of the patterns `from_end` are read from their end."""
        self.trouble = ""
        self._named = set()
        for pattern in self._patterns:
            for path in sorted(glob.glob(pattern)):  # noqa: PTH207 - a third of the time of Path.glob
                if not _ROTATED.search(path):
                    self._meet(path, from_end=pattern in from_end)

    def _meet(self, path: str, *, from_end: bool) -> None:
        try:
            status = os.stat(path)  # noqa: PTH116 - once a second for each file
            key = status.st_dev, status.st_ino
            self._named.add(key)
            known = self._tails.get(key)
            if known is not None:
                if known.position.path != path:
                    known.move(path=path)
                known.quiet_since_s = None
            elif len(self._tails) >= self._max_files:
                self.trouble = f"more than {self._max_files} files match (logs.max_files); {path} is not followed"
            else:
                tail = self._tails[key] = Tail.open(path)
                tail.changed()
                tail.note_head()
                if from_end:
                    tail.move(offset=status.st_size)
        except OSError as error:
            self.trouble = f"{path} cannot be followed: {error.strerror or error}"

    def check(self, tail: Tail) -> list[Position]:
        """Of a file that has changed, see whether it was truncated; then begin anew, and find the rest of the old.

        Returns the positions that are new by that, in the order in which they are to be kept.
        """
        if tail.continues(tail.position):
            tail.note_head()
            return []
        before = tail.position
        tail.move(offset=0, head="", head_bytes=0, is_within_long_line=False)
        tail.note_head()
        rest = _rotated(before)
        if rest is None:
            self.gone += 1
            return [tail.position]
        if rest.position.key in self._tails:
            rest.close()
            return [tail.position]
        self._tails[rest.position.key] = rest
        return [rest.position, tail.position]

    def is_over(self, tail: Tail) -> bool:
        """Whether nothing will come any more: its name is another file's, and it has been quiet for long."""
        if tail.position.key in self._named:
            return False
        now_s = time.monotonic()
        if tail.quiet_since_s is None:
            tail.quiet_since_s = now_s
        return now_s - tail.quiet_since_s >= QUIET_S

    def drop(self, tail: Tail) -> None:
        """Follow a file no longer."""
        del self._tails[tail.position.key]
        tail.close()

    def close(self) -> None:
        """Let go of all files."""
        for tail in self:
            self.drop(tail)


def _reopen(path: str, position: Position) -> Tail | None:
    """The file at a path, if it is the one of a position or a copy of it, at this position."""
    try:
        tail = Tail.open(path)
    except OSError:
        return None
    if (tail.position.key == position.key or position.head_bytes) and tail.continues(position):
        tail.move(
            offset=position.offset,
            head=position.head,
            head_bytes=position.head_bytes,
            is_within_long_line=position.is_within_long_line,
        )
        return tail
    tail.close()
    return None


def _rotated(position: Position) -> Tail | None:
    """The file of a position under another name, or else its copy."""
    folder, name = os.path.split(position.path)
    stem = name.partition(".")[0]
    try:
        with os.scandir(folder) as entries:
            near = [entry for entry, _ in zip(entries, range(MAX_SIBLINGS), strict=False) if entry.name != name]
    except OSError:
        return None
    near = [entry for entry in near if not entry.name.endswith(_PACKED)]
    same = [entry.path for entry in near if entry.inode() == position.inode]
    copies = [entry.path for entry in near if entry.name.startswith(stem) and _ROTATED.search(entry.name)]
    tails = (_reopen(path, position) for path in [*same, *copies])
    return next((tail for tail in tails if tail is not None), None)
