"""Watch files: what fanotify tells becomes changes, changes become events with the process that audit names.

Everything here is done by one thread, so that neither a slow disk nor a large file holds the agent's loop back.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

from tocsin.agent.files.actor import Actors
from tocsin.agent.files.baseline import read_state
from tocsin.agent.files.change import Change, Changes
from tocsin.agent.files.complete import Completion
from tocsin.agent.files.fanotify import (
    CLOSE_WRITE,
    CREATE,
    DELETE,
    MOVED_FROM,
    MOVED_TO,
    ON_FOLDER,
    OVERFLOW,
    RENAME,
    Notice,
)
from tocsin.agent.files.held import HeldEvents
from tocsin.agent.files.mapping import (
    Seen,
    map_change,
)
from tocsin.agent.files.scan import AFTER_OVERFLOW, WHILE_AWAY, Scan
from tocsin.agent.host.users import Users

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tocsin.agent.files.baseline import Baseline
    from tocsin.agent.files.fanotify import Fanotify
    from tocsin.agent.files.hashing import Hasher
    from tocsin.agent.files.tree import WatchTree
    from tocsin.model.event import Event

__all__ = ["FileWatch"]

SCAN_STEPS: Final = 50
SCAN_AGAIN_AFTER_S: Final = 5.0
LEFT_TO_CHANGES: Final = 0.5  # share of the hashing budget that learning never touches


class FileWatch:
    """What is watched and what is being changed. Times `at` are monotonic seconds, `time_ms` those of events."""

    def __init__(
        self, fanotify: Fanotify, tree: WatchTree, baseline: Baseline, hasher: Hasher, settle_s: float
    ) -> None:
        self._fanotify, self._tree, self._baseline, self._hasher = fanotify, tree, baseline, hasher
        self._settle_s = settle_s
        self._changes = Changes(tree.covers, baseline.get, settle_s)
        self._held, self._actors, self._users = HeldEvents(tree.covers), Actors(), Users()
        self._completion = Completion(tree, baseline, hasher, self._held, self._users)
        self._scan: Iterator[Seen | None] = iter(())
        self._scan_at = float("inf")
        self.scanning = False
        self.overflows = self._excluded = 0

    def start(self) -> None:
        """Mark what is to be watched and begin to compare it with what is known."""
        self._tree.watch()
        self._begin_scan(WHILE_AWAY)

    def refresh(self, roots: Sequence[str]) -> None:
        """Mark what has come to be since; of paths that are new, learn what is there."""
        if self._tree.set_roots(roots):
            self._begin_scan(WHILE_AWAY)
        self._tree.watch()

    @property
    def is_waiting(self) -> bool:
        """Is there anything that time alone will bring to an end?"""
        return bool(len(self._changes) or len(self._held))

    def hold(self, event: Event, at: float) -> None:
        """Take in what audit tells."""
        self._held.hold(event, at)

    def step(self, at: float, time_ms: int) -> list[Event]:
        """Read what is told, and return the events of the changes that have come to their end."""
        while notices := self._fanotify.read():
            for notice in notices:
                self._take(notice, at, time_ms)
        events = [event for change in self._changes.due(at, time_ms) for event in self._completion.finish(change)]
        events += [
            event for held in self._held.expire(at - 2 * self._settle_s) for event in self._completion.let_go(held)
        ]
        if at >= self._scan_at:
            self._begin_scan(AFTER_OVERFLOW)
        return events

    def flush(self) -> list[Event]:
        """Everything, finished or not; nothing more will come."""
        events = [event for change in self._changes.flush() for event in self._completion.finish(change)]
        return events + [event for held in self._held.expire(float("inf")) for event in self._completion.let_go(held)]

    def abandon(self) -> list[Event]:
        """What audit has told, as it has told it, when watching cannot go on."""
        return [held.event for held in self._held.expire(float("inf"))]

    def compare(self) -> list[Event]:
        """Some steps of a scan, if there is one, and what they found."""
        seen = list(itertools.islice(self._scan, SCAN_STEPS))
        self.scanning = len(seen) == SCAN_STEPS
        return [map_change(one, (), {}, self._users) for one in seen if one is not None]

    @property
    def excluded(self) -> int:
        """What happened to files that the settings leave alone."""
        return self._excluded + self._completion.excluded

    @property
    def remark(self) -> str:
        """What there is to say of it while all is well."""
        scanning = ", being compared" if self.scanning else ""
        full = ", more are not remembered" if self._baseline.is_full else ""
        return f"{len(self._tree)} folders watched, {len(self._baseline)} files known{full}{scanning}"

    @property
    def unwatched(self) -> str:
        """What cannot be watched and why; empty if all can."""
        found = self._tree.unwatched
        first = next((f"{path}: {reason}" for path, reason in found.items()), "")
        return f"{len(found)} folders are not watched, the first is {first}" if found else ""

    def learn(self) -> bool | None:
        """Read the content of one file that is not known yet; False if the budget has no room, None if all are."""
        waiting = self._baseline.unhashed()
        if waiting is None:
            return None
        path, known = waiting
        state = read_state(path)
        if state is None or state[:-1] != known[:-1]:  # a change that is being told
            self._baseline.put(path, known._replace(sha256=b""))
            return True
        digest = self._hasher.hash(path, state, leave=LEFT_TO_CHANGES)
        if digest is None:
            return False
        self._baseline.put(path, state._replace(sha256=digest))
        return True

    def _begin_scan(self, detected: str) -> None:
        self._scan_at = float("inf")
        scan = Scan(self._tree, self._baseline, self._hasher, self._changes.__contains__, detected)
        self._scan, self.scanning = scan.steps(_now_ms), True

    def _take(self, notice: Notice, at: float, time_ms: int) -> None:
        if notice.mask & OVERFLOW:
            self.overflows += 1
            self._scan_at = min(self._scan_at, at + SCAN_AGAIN_AFTER_S)
            return
        path = self._tree.path_of(notice.folder, notice.name, notice.target)
        if notice.mask & RENAME:
            new = self._tree.path_of(notice.new_folder, notice.new_name) if notice.new_folder else ""
            self._take_rename(notice, path if notice.folder else "", new, at, time_ms)
        elif notice.mask & (MOVED_FROM | MOVED_TO):
            self._take_half(notice, path, at, time_ms)
        elif self._is_watched(path):
            self._add(notice.pid, path, notice.mask, at, time_ms)

    def _take_half(self, notice: Notice, path: str, at: float, time_ms: int) -> None:
        """A rename that is told in two parts, each of which may be merged with what else happened to that name."""
        others = notice.mask & ~(MOVED_FROM | MOVED_TO | ON_FOLDER)
        if notice.mask & MOVED_TO:
            self._take_rename(notice, self._changes.moved_from(notice.pid), path, at, time_ms)
        if others and self._is_watched(path):
            self._add(notice.pid, path, others | notice.mask & ON_FOLDER, at, time_ms)
        if notice.mask & MOVED_FROM:
            self._changes.move_from(notice.pid, path, notice.mask)

    def _is_watched(self, path: str) -> bool:
        if not path or self._tree.covers(path):
            return bool(path)
        self._excluded += self._tree.concerns(path)
        return False

    def _add(self, pid: int, path: str, mask: int, at: float, time_ms: int) -> None:
        change = self._changes.add(pid, path, mask, at, time_ms)
        if change is not None:
            self._name_actor(change, at)
        if mask & ON_FOLDER and mask & CREATE:
            self._enter(pid, path, at, time_ms)
        if mask & ON_FOLDER and mask & DELETE:
            self._tree.removed(path)

    def _enter(self, pid: int, folder: str, at: float, time_ms: int) -> None:
        """Watch a new folder; what is in it already was made before anybody looked."""
        for path in self._tree.add(folder):
            if self._tree.covers(path) and path not in self._changes:
                state = read_state(path)
                mask = CREATE | ON_FOLDER if state and state.is_folder else CREATE | CLOSE_WRITE
                change = self._changes.add(pid, path, mask, at, time_ms)
                if change is not None:
                    self._name_actor(change, at)

    def _take_rename(self, notice: Notice, old: str, new: str, at: float, time_ms: int) -> None:
        old, new = (path if self._is_watched(path) else "" for path in (old, new))
        if not old and not new:
            return
        mask = notice.mask & ON_FOLDER | RENAME
        change = self._changes.rename(notice.pid, old, new, mask, at, time_ms)
        self._name_actor(change, at)
        if not mask & ON_FOLDER:
            return
        if old and new:
            self._tree.moved(old, new)
            self._changes.moved_below(old, new)
            self._baseline.move_below(old, new)
        elif old:
            self._tree.removed(old)
        else:
            self._enter(notice.pid, new, at, time_ms)

    def _name_actor(self, change: Change, at: float) -> None:
        if not change.actor and not self._held.knows(change.pid):
            change.actor = self._actors.find(change.pid, at)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
