"""Complete a change: what the file is now and was before, and what audit tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.agent.files import held as of_audit
from tocsin.agent.files.baseline import FileState, read_state
from tocsin.agent.files.fanotify import ATTRIB, CLOSE_WRITE, CREATE, DELETE, MODIFY
from tocsin.agent.files.held import Held, HeldEvents, file_uid
from tocsin.agent.files.mapping import ATTRIBUTES, OPEN, UPDATE, Seen, map_change
from tocsin.agent.files.mapping import CREATE as CREATED
from tocsin.agent.files.mapping import DELETE as DELETED
from tocsin.agent.files.mapping import RENAME as RENAMED

if TYPE_CHECKING:
    from tocsin.agent.files.baseline import Baseline
    from tocsin.agent.files.change import Change
    from tocsin.agent.files.hashing import Hasher
    from tocsin.agent.files.tree import WatchTree
    from tocsin.agent.host.users import Users
    from tocsin.model.event import Event

__all__ = ["Completion"]

MAX_NAMES: Final = 1024
_KINDS: Final = {
    CREATED: (of_audit.CONTENT, of_audit.LINK, of_audit.RENAME),
    UPDATE: (of_audit.CONTENT, of_audit.LINK, of_audit.RENAME),
    DELETED: (of_audit.DELETE,),
    RENAMED: (of_audit.RENAME,),
    ATTRIBUTES: (of_audit.ATTRIBUTES,),
}


class Completion:
    """Makes events of changes, each with what is held of audit about it, and keeps what is known of the files."""

    def __init__(self, tree: WatchTree, baseline: Baseline, hasher: Hasher, held: HeldEvents, users: Users) -> None:
        self._tree, self._baseline, self._hasher, self._held, self._users = tree, baseline, hasher, held, users
        self._names = _Names()
        self.excluded = 0

    def finish(self, change: Change) -> list[Event]:
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

    def let_go(self, held: Held) -> list[Event]:
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
