"""Watch files: what fanotify tells becomes changes, changes become events with the process that audit names.

Everything here is done by one thread, so that neither a slow disk nor a large file holds the agent's loop back.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

from tocsin.agent.files import held as of_audit
from tocsin.agent.files.actor import Actors
from tocsin.agent.files.baseline import FileState, read_state
from tocsin.agent.files.change import Change, Changes
from tocsin.agent.files.fanotify import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    MODIFY,
    MOVED_FROM,
    MOVED_TO,
    ON_FOLDER,
    OVERFLOW,
    RENAME,
    Notice,
)
from tocsin.agent.files.held import Held, HeldEvents, file_uid
from tocsin.agent.files.mapping import (
    ATTRIBUTES,
    OPEN,
    UPDATE,
    Seen,
    map_change,
)
from tocsin.agent.files.mapping import CREATE as CREATED
from tocsin.agent.files.mapping import DELETE as DELETED
from tocsin.agent.files.mapping import RENAME as RENAMED
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
MAX_NAMES: Final = 1024
LEFT_TO_CHANGES: Final = 0.5  # share of the hashing budget that learning never touches
_KINDS: Final = {
    CREATED: (of_audit.CONTENT, of_audit.LINK, of_audit.RENAME),
    UPDATE: (of_audit.CONTENT, of_audit.LINK, of_audit.RENAME),
    DELETED: (of_audit.DELETE,),
    RENAMED: (of_audit.RENAME,),
    ATTRIBUTES: (of_audit.ATTRIBUTES,),
}


class FileWatch:
    """What is watched and what is being changed. Times `at` are monotonic seconds, `time_ms` those of events."""

    def __init__(
        self, fanotify: Fanotify, tree: WatchTree, baseline: Baseline, hasher: Hasher, settle_s: float
    ) -> None:
        self._fanotify, self._tree, self._baseline, self._hasher = fanotify, tree, baseline, hasher
        self._settle_s = settle_s
        self._changes = Changes(tree.covers, baseline.get, settle_s)
        self._held, self._actors, self._users = HeldEvents(tree.covers), Actors(), Users()
        self._names = _Names()
        self._scan: Iterator[Seen | None] = iter(())
        self._scan_at = float("inf")
        self.scanning = False
        self.overflows = self.excluded = 0

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
        events = [event for change in self._changes.due(at, time_ms) for event in self._finish(change)]
        events += [event for held in self._held.expire(at - 2 * self._settle_s) for event in self._let_go(held)]
        if at >= self._scan_at:
            self._begin_scan(AFTER_OVERFLOW)
        return events

    def flush(self) -> list[Event]:
        """Everything, finished or not; nothing more will come."""
        events = [event for change in self._changes.flush() for event in self._finish(change)]
        return events + [event for held in self._held.expire(float("inf")) for event in self._let_go(held)]

    def abandon(self) -> list[Event]:
        """What audit has told, as it has told it, when watching cannot go on."""
        return [held.event for held in self._held.expire(float("inf"))]

    def compare(self) -> list[Event]:
        """Some steps of a scan, if there is one, and what they found."""
        seen = list(itertools.islice(self._scan, SCAN_STEPS))
        self.scanning = len(seen) == SCAN_STEPS
        return [map_change(one, (), {}, self._users) for one in seen if one is not None]

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
        self.excluded += self._tree.concerns(path)
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

    def _finish(self, change: Change) -> list[Event]:
        """The events of a change, and know the file as it is now."""
        state = None if change.mask & DELETE or change.old_path == change.path else read_state(change.path)
        activity_id = _activity(change, state)
        if activity_id is None:
            return self._opened(change, state)
        if state is not None:
            state = state._replace(sha256=self._digest(change, state))
        self._know(change, state)
        told = self._told(change, activity_id, state)
        old_path = change.old_path
        seen = Seen(activity_id, change.path, state, change.prior, change.time_ms, old_path=old_path)
        if activity_id == ATTRIBUTES and told:  # each call is one that a rule may ask for
            return [map_change(seen, (event,), change.actor, self._users) for event in told]
        return [map_change(seen, told, change.actor, self._users)]

    def _digest(self, change: Change, state: FileState) -> bytes | None:
        prior = change.prior
        if prior is not None and not change.mask & (MODIFY | CREATE) and state.has_content_of(prior):
            return prior.sha256
        return self._hasher.hash(change.path, state)

    def _know(self, change: Change, state: FileState | None) -> None:
        if change.old_path:
            self._baseline.remove(change.old_path)
        if state is not None:
            self._names.remember(file_uid(state), change.path)
            self._baseline.put(change.path, state)
            if state.is_regular and state.links > 1:
                self._tree.watch_names(change.path)
            return
        self._baseline.remove(change.path)
        if change.on_folder and (change.mask & DELETE or change.old_path):
            self._baseline.remove_below(change.path)

    def _told(self, change: Change, activity_id: int, state: FileState | None) -> list[Event]:
        """What audit tells of this change, the call that made it last."""
        known = state or change.prior
        uid = file_uid(known) if known else ""
        paths = [path for path in (change.path, change.old_path) if path]
        told = self._held.take(change.pid, _KINDS[activity_id], paths, uid)
        if change.gone_names:
            kinds = [of_audit.CONTENT, of_audit.RENAME, of_audit.LINK, of_audit.DELETE]
            if state and change.prior and state.mode == change.prior.mode:
                kinds.append(of_audit.ATTRIBUTES)  # the new file was given what the old one had
            told = self._held.take(change.pid, kinds, change.gone_names, uid) + told
        if not told and activity_id == CREATED:
            told = self._held.take_of_anybody(change.path)
        return told

    def _opened(self, change: Change, state: FileState | None) -> list[Event]:
        """A file was opened for writing, and closed with nothing written to it."""
        uid = file_uid(state) if state else ""
        return [_as_open(event) for event in self._held.take(change.pid, (of_audit.CONTENT,), (change.path,), uid)]

    def _let_go(self, held: Held) -> list[Event]:
        """What audit told and fanotify did not: elsewhere, or nothing was written, or it belongs to another change."""
        path = held.paths[-1] if held.paths else self._names.find(held.uid)
        if self._tree.covers(path):
            state, prior = read_state(path), self._baseline.get(path)
            is_same = state is not None and prior is not None and state.has_content_of(prior)
            if held.kind == of_audit.CONTENT and is_same and held.event.values["activity_id"] == UPDATE:
                return [_as_open(held.event)]
            if held.kind == of_audit.ATTRIBUTES and state is not None and file_uid(state) == held.uid:
                seen = Seen(ATTRIBUTES, path, state, prior, int(held.event.values["time"]))
                return [map_change(seen, (held.event,), {}, self._users)]
        elif self._tree.concerns(path):
            self.excluded += 1
            return []
        return [held.event]


class _Names:
    """What files that were changed lately are called: of a call on a descriptor, audit knows device and inode only."""

    def __init__(self) -> None:
        self._by_uid: dict[str, str] = {}

    def remember(self, uid: str, path: str) -> None:
        self._by_uid.pop(uid, None)
        self._by_uid[uid] = path
        if len(self._by_uid) > MAX_NAMES:
            del self._by_uid[next(iter(self._by_uid))]

    def find(self, uid: str) -> str:
        return self._by_uid.get(uid, "")


def _activity(change: Change, state: FileState | None) -> int | None:
    """What the change is called; None if a file was opened for writing and nothing was written."""
    mask, prior = change.mask, change.prior
    if mask & DELETE:
        return DELETED
    if change.old_path:
        return RENAMED
    if mask & CREATE:
        return UPDATE if prior is not None else CREATED
    if mask & MODIFY:
        return UPDATE
    if mask & CLOSE_WRITE and (state is None or prior is None or not state.has_content_of(prior)):
        return UPDATE
    return ATTRIBUTES if mask & ATTRIB else None


def _as_open(event: Event) -> Event:
    event.values["activity_id"] = OPEN
    return event


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
