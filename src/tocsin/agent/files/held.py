"""Changes to files as the kernel's audit tells them, held until it is known what became of the file.

Audit knows who made a system call; what that did to the file's content, fanotify tells. An event that nothing is told
about leaves as audit told it: it happened where nothing is watched.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin.agent.files.baseline import FileState
    from tocsin.model.event import Event

__all__ = ["ATTRIBUTES", "CONTENT", "DELETE", "LINK", "RENAME", "Held", "HeldEvents", "file_uid", "is_change"]

FILE_ACTIVITY: Final = 1001
SUCCESS: Final = 1
MAX_HELD: Final = 20_000

CONTENT, DELETE, RENAME, ATTRIBUTES, LINK = "content", "delete", "rename", "attributes", "link"
_KINDS: Final = {1: CONTENT, 3: CONTENT, 4: DELETE, 5: RENAME, 6: ATTRIBUTES}


def is_change(event: Event) -> bool:
    """Does this event of audit tell of a change to a file that was made?"""
    values = event.values
    return (
        event.class_uid == FILE_ACTIVITY
        and values.get("status_id") == SUCCESS
        and values.get("activity_id") in _KINDS
        and ("file.path" in values or "file.uid" in values)
    )


def file_uid(state: FileState) -> str:
    """Device and inode as audit writes them."""
    return f"{os.major(state.device):02x}:{os.minor(state.device):02x}:{state.inode}"


class Held:
    """One event of audit, and when it came."""

    __slots__ = ("at", "event", "kind", "paths", "pid", "uid")

    def __init__(self, event: Event, at: float) -> None:
        values = event.values
        self.event, self.at = event, at
        self.kind = _KINDS[int(values["activity_id"])]
        if self.kind == CONTENT and "link" in str(values.get("metadata.event_code")):
            self.kind = LINK
        self.pid = int((event.shared or values).get("actor.process.pid", 0))
        self.uid = str(values.get("file.uid", ""))
        self.paths = tuple(str(values[key]) for key in ("file.path", "file_result.path") if key in values)

    def is_about(self, paths: Iterable[str], uid: str) -> bool:
        """The same file, by a whole path, by device and inode, or by a name relative to a folder audit does not say."""
        return any(
            own == path or (not own.startswith("/") and path.endswith(f"/{own}"))
            for own in self.paths
            for path in paths
        ) or (bool(uid) and self.uid == uid)


class HeldEvents:
    """The events that are held, by process."""

    def __init__(self) -> None:
        self._by_pid: dict[int, list[Held]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def hold(self, event: Event, at: float) -> None:
        """Keep an event for what is told of the same file."""
        held = Held(event, at)
        self._by_pid.setdefault(held.pid, []).append(held)
        self._count += 1

    def knows(self, pid: int) -> bool:
        """Is there anything of this process?"""
        return pid in self._by_pid

    def take(self, pid: int, kinds: Iterable[str], paths: Iterable[str], uid: str) -> list[Event]:
        """What this process did to this file, of these kinds, in its order; it is no longer held."""
        mine = self._by_pid.get(pid)
        if not mine:
            return []
        kinds, paths = frozenset(kinds), tuple(paths)
        taken = [held for held in mine if held.kind in kinds and held.is_about(paths, uid)]
        if taken:
            self._keep(pid, [held for held in mine if held not in taken])
        return [held.event for held in taken]

    def take_of_anybody(self, path: str) -> list[Event]:
        """Who wrote a file that was there before its folder was watched."""
        for pid in tuple(self._by_pid):
            if found := self.take(pid, (CONTENT, LINK, RENAME), (path,), ""):
                return found
        return []

    def expire(self, before: float) -> list[Held]:
        """What came before this time and nothing was told about; all but the newest if there is too much."""
        expired: list[Held] = []
        crowded = self._count > MAX_HELD
        for pid, mine in tuple(self._by_pid.items()):
            gone = mine if crowded else [held for held in mine if held.at <= before]
            if gone:
                expired += gone
                self._keep(pid, [] if crowded else [held for held in mine if held.at > before])
        return expired

    def _keep(self, pid: int, rest: list[Held]) -> None:
        self._count -= len(self._by_pid[pid]) - len(rest)
        if rest:
            self._by_pid[pid] = rest
        else:
            del self._by_pid[pid]
