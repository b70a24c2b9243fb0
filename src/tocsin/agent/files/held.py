"""Changes to files as the kernel's audit tells them, held until it is known what became of the file.

Audit knows who made a system call; what that did to the file's content, fanotify tells. An event that nothing is told
about leaves as audit told it: it happened where nothing is watched.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tocsin.agent.files.baseline import FileState
    from tocsin.model.event import Event

__all__ = ["ATTRIBUTES", "CONTENT", "DELETE", "LINK", "RENAME", "Held", "HeldEvents", "file_uid", "is_change"]

FILE_ACTIVITY: Final = 1001
SUCCESS: Final = 1
MAX_HELD: Final = 20_000
ANYBODY: Final = -1

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

    __slots__ = ("at", "event", "is_held", "kind", "number", "paths", "pid", "uid")

    def __init__(self, event: Event, at: float, number: int) -> None:
        values = event.values
        self.event, self.at, self.number = event, at, number
        self.is_held = True
        self.kind = _KINDS[int(values["activity_id"])]
        if self.kind == CONTENT and "link" in str(values.get("metadata.event_code")):
            self.kind = LINK
        self.pid = int((event.shared or values).get("actor.process.pid", 0))
        self.uid = str(values.get("file.uid", ""))
        self.paths = tuple(str(values[key]) for key in ("file.path", "file_result.path") if key in values)

    def keys(self, covers: Callable[[str], bool]) -> Iterator[str]:
        """What it can be found by: whole paths; a relative name, as audit does not say of which folder it is one.

        Device and inode only where no path is known here, as in a container or for a call on a descriptor: a number is
        given to the next file at once, and would lead to the wrong one.
        """
        is_known_here = False
        for path in self.paths:
            if path.startswith("/"):
                yield path
                is_known_here = is_known_here or covers(path)
            else:
                yield f"./{path.rpartition('/')[2]}"
        if self.uid and not is_known_here:
            yield self.uid


class HeldEvents:
    """The events that are held. `covers` says whether a path is watched."""

    def __init__(self, covers: Callable[[str], bool]) -> None:
        self._covers = covers
        self._by_key: dict[tuple[int, str], list[Held]] = {}
        self._by_age: deque[Held] = deque()
        self._by_pid: Counter[int] = Counter()
        self._number = 0

    def __len__(self) -> int:
        return self._by_pid.total()

    def hold(self, event: Event, at: float) -> None:
        """Keep an event for what is told of the same file."""
        self._number += 1
        held = Held(event, at, self._number)
        self._by_age.append(held)
        self._by_pid[held.pid] += 1
        for key in held.keys(self._covers):
            for pid in (held.pid, ANYBODY):
                self._by_key.setdefault((pid, key), []).append(held)

    def knows(self, pid: int) -> bool:
        """Is there anything of this process?"""
        return pid in self._by_pid

    def take(self, pid: int, kinds: Iterable[str], paths: Iterable[str], uid: str) -> list[Event]:
        """What this process did to this file, of these kinds, in its order; it is no longer held."""
        found: dict[int, Held] = {}
        for key in (uid, *(key for path in paths for key in (path, f"./{path.rpartition('/')[2]}"))):
            found |= {held.number: held for held in self._by_key.get((pid, key), ()) if held.kind in kinds}
        taken = [found[number] for number in sorted(found)]
        for held in taken:
            self._release(held)
        return [held.event for held in taken]

    def take_of_anybody(self, path: str) -> list[Event]:
        """Who wrote a file that was there before its folder was watched."""
        return self.take(ANYBODY, (CONTENT, LINK, RENAME), (path,), "")

    def expire(self, before: float) -> list[Held]:
        """What came before this time and nothing was told about, and the oldest if there is too much."""
        expired: list[Held] = []
        oldest = self._by_age
        while oldest and (not oldest[0].is_held or oldest[0].at <= before or len(oldest) > MAX_HELD):
            held = oldest.popleft()
            if held.is_held:
                self._release(held)
                expired.append(held)
        return expired

    def _release(self, held: Held) -> None:
        held.is_held = False
        self._by_pid[held.pid] -= 1
        if not self._by_pid[held.pid]:
            del self._by_pid[held.pid]
        for key in held.keys(self._covers):
            for pid in (held.pid, ANYBODY):
                others = self._by_key.get((pid, key), [])
                if len(others) > 1:
                    others.remove(held)
                else:
                    self._by_key.pop((pid, key), None)
