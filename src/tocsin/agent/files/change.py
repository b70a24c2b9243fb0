"""Changes in the making: what is told of one name by one process within a short time is one change.

Programs that save a file put a new one in its place: they write another name and rename it, or rename the old file
away and write it anew. Both are one change to the file that people know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.agent.files.fanotify import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    MODIFY,
    ON_FOLDER,
    RENAME,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tocsin.agent.files.baseline import FileState
    from tocsin.model.event import Value

__all__ = ["Change", "Changes"]

_CONTENT: Final = MODIFY | CLOSE_WRITE | ATTRIB
LONGEST_SETTLE: Final = 32  # times the first
MAX_OPEN: Final = 4096


class Change:
    """What one process did to one name. `prior` is the file before, None if there was none or it is not known."""

    __slots__ = (
        "actor",
        "began_at",
        "due_at",
        "gone_names",
        "mask",
        "old_path",
        "path",
        "pid",
        "prior",
        "replaced",
        "time_ms",
    )

    def __init__(self, pid: int, path: str, mask: int, began_at: float, time_ms: int) -> None:
        self.pid, self.path, self.mask = pid, path, mask
        self.began_at, self.due_at, self.time_ms = began_at, began_at, time_ms
        self.prior: FileState | None = None
        self.actor: dict[str, Value] = {}
        self.old_path = ""  # of a rename; for one out of what is watched, `path` is the same
        self.replaced = False  # by a file with another name that was new
        self.gone_names: tuple[str, ...] = ()  # those other names

    @property
    def on_folder(self) -> bool:
        return bool(self.mask & ON_FOLDER)

    @property
    def is_open(self) -> bool:
        """Written to, and not closed yet."""
        return bool(self.mask & MODIFY) and not self.mask & (CLOSE_WRITE | DELETE)


class Changes:
    """The changes that are being made. `covers` says whether a path is watched, `prior` what was known of it."""

    def __init__(
        self, covers: Callable[[str], bool], prior: Callable[[str], FileState | None], settle_s: float
    ) -> None:
        self._covers, self._prior, self._settle_s = covers, prior, settle_s
        self._pending: dict[tuple[int, str], Change] = {}
        self._moved_away: dict[tuple[int, str], Change] = {}  # by the name that they had
        self._closed: list[Change] = []
        self._moved_from: dict[int, tuple[str, int]] = {}
        self._open: dict[tuple[int, str], float] = {}  # files that are written to for long, and when they are next due

    def __len__(self) -> int:
        return len(self._pending) + len(self._closed) + len(self._moved_from)

    def __contains__(self, path: str) -> bool:
        return any(path in (change.path, change.old_path) for change in self._pending.values())

    def add(self, pid: int, path: str, mask: int, at: float, time_ms: int) -> Change | None:
        """Something other than a rename happened to a path; None if it is part of a change to another one."""
        key = (pid, path)
        if mask & DELETE and self._was_backup(pid, path):
            return None
        change = self._pending.get(key)
        if change is not None and (change.mask & DELETE or (change.old_path and not mask & _CONTENT)):
            self._close(key)
            change = None
        if mask & DELETE and (
            mask & ~(DELETE | ON_FOLDER | ATTRIB) or (change and change.mask & ~(ATTRIB | ON_FOLDER))
        ):
            # What came before the end is a change of its own.
            if mask & ~(DELETE | ON_FOLDER | ATTRIB):
                self.add(pid, path, mask & ~DELETE, at, time_ms)
            self._close(key)
            return self.add(pid, path, mask & (DELETE | ON_FOLDER), at, time_ms)
        if change is None:
            change = self._pending[key] = self._begin(pid, path, mask, at, time_ms)
        change.mask |= mask
        self._set_due(change)
        return change

    def rename(self, pid: int, old: str, new: str, mask: int, at: float, time_ms: int) -> Change:
        """A name was changed; an empty one is nothing that is watched."""
        fresh = self._pending.get((pid, old)) if old else None
        if new and fresh is not None and fresh.mask & CREATE and not fresh.old_path:
            return self._put_in_place(fresh, new, at, time_ms)
        if old:
            self._close((pid, old))
        self._close((pid, new))
        change = self._pending[pid, new or old] = self._begin(pid, new or old, mask, at, time_ms)
        change.old_path = old
        if old:
            change.prior = self._prior(old)
            self._moved_away[pid, old] = change
        else:  # from somewhere else: a file that is new here, or takes another one's place
            change.mask |= CREATE | CLOSE_WRITE
            change.replaced = change.prior is not None
        self._set_due(change)
        return change

    def moved_below(self, old: str, new: str) -> None:
        """A folder has another name: what is being changed in it has too, when it comes to its end."""
        for (pid, path), change in tuple(self._pending.items()):
            if path.startswith(f"{old}/"):
                del self._pending[pid, path]
                change.path = new + path[len(old) :]
                self._pending[pid, change.path] = change

    def move_from(self, pid: int, path: str, mask: int) -> None:
        """The first part of a rename that is told in two, as Linux does before 5.17."""
        self._moved_from[pid] = (path, mask)

    def moved_from(self, pid: int) -> str:
        """The old name, when the second part is told; empty if that was nothing that is watched."""
        return self._moved_from.pop(pid, ("", 0))[0]

    def due(self, at: float, time_ms: int) -> Iterator[Change]:
        """The changes that nothing more will belong to, in the order in which they ended."""
        for pid, (path, mask) in tuple(self._moved_from.items()):
            del self._moved_from[pid]
            if self._covers(path):
                self.rename(pid, path, "", mask & ON_FOLDER | RENAME, at, time_ms)
        for key, change in tuple(self._pending.items()):
            if change.due_at <= at:
                self._close(key)
        closed, self._closed = self._closed, []
        yield from closed

    def flush(self) -> Iterator[Change]:
        """All of them."""
        return self.due(float("inf"), 0)

    def _begin(self, pid: int, path: str, mask: int, at: float, time_ms: int) -> Change:
        change = Change(pid, path, mask, at, time_ms)
        moved = self._moved_away.get((pid, path)) if mask & CREATE else None
        change.prior = moved.prior if moved else self._prior(path)
        return change

    def _put_in_place(self, fresh: Change, new: str, at: float, time_ms: int) -> Change:
        """A file that was written under another name takes its place: one change to what had the name before."""
        del self._pending[fresh.pid, fresh.path]
        self._close((fresh.pid, new))
        change = self._pending[fresh.pid, new] = self._begin(fresh.pid, new, fresh.mask, at, time_ms)
        change.began_at, change.time_ms, change.actor = fresh.began_at, fresh.time_ms, fresh.actor
        change.mask = fresh.mask | CLOSE_WRITE
        change.gone_names = (*fresh.gone_names, fresh.path)
        change.replaced = change.prior is not None
        self._set_due(change)
        return change

    def _was_backup(self, pid: int, path: str) -> bool:
        """Is the file that is removed the one that was renamed to make way for the new one, which is there now?"""
        moved = self._pending.get((pid, path))
        if moved is None or not moved.old_path:
            return False
        anew = self._pending.get((pid, moved.old_path))
        if anew is None or not anew.mask & CREATE:
            return False
        del self._pending[pid, path], self._moved_away[pid, moved.old_path]
        anew.replaced, anew.prior = True, moved.prior
        anew.gone_names = (*anew.gone_names, path)
        return True

    def _set_due(self, change: Change) -> None:
        """A moment after it began; for a file that stays open, ever more seldom."""
        change.due_at = change.began_at + self._settle_s
        key = (change.pid, change.path)
        if change.is_open and key in self._open:
            change.due_at = change.began_at + self._open[key]

    def _close(self, key: tuple[int, str]) -> None:
        change = self._pending.pop(key, None)
        if change is None:
            return
        self._moved_away.pop((change.pid, change.old_path), None)
        self._closed.append(change)
        if change.is_open:
            pause_s = self._open.pop(key, self._settle_s)
            self._open[key] = min(pause_s * 4, self._settle_s * LONGEST_SETTLE)
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]
        else:
            self._open.pop(key, None)
