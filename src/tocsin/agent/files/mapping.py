"""From a change to a file to an event of the schema, with who made it where audit tells."""

from __future__ import annotations

import os
import posixpath
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from tocsin.agent.files.held import file_uid
from tocsin.model.event import Event, Value
from tocsin.normalize.auditd.acting import file_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin.agent.files.baseline import FileState
    from tocsin.agent.host.users import Users

__all__ = [
    "ATTRIBUTES",
    "CREATE",
    "DELETE",
    "LIVE",
    "OPEN",
    "RENAME",
    "UPDATE",
    "Seen",
    "attribute_values",
    "map_change",
]

FILE_ACTIVITY: Final = 1001
CREATE, UPDATE, DELETE, RENAME, ATTRIBUTES, OPEN = 1, 3, 4, 5, 6, 14
LIVE: Final = "live"
_CODES: Final = {CREATE: "create", UPDATE: "modify", DELETE: "delete", RENAME: "rename", ATTRIBUTES: "attrib"}
_TYPES: Final = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFSOCK: 5,
    stat.S_IFIFO: 6,
    stat.S_IFLNK: 7,
}
_OF_THE_FILE: Final = ("file.", "file_result.")
MAX_RECORDS: Final = 64
_EVERY_EVENT: Final[dict[str, Value]] = {
    "severity_id": 1,
    "status_id": 1,
    "metadata.log_name": "fanotify",
    "device.type_id": 1,
    "device.os.name": "Linux",
    "device.os.type_id": 200,
}


class Seen(NamedTuple):
    """What became of a file: `state` is it now, None if it is gone; `prior` as it was, None if that is not known."""

    activity_id: int
    path: str
    state: FileState | None
    prior: FileState | None
    time_ms: int
    detected: str = LIVE
    old_path: str = ""


def map_change(seen: Seen, told: Sequence[Event], actor: Mapping[str, Value], users: Users) -> Event:
    """The event; `told` are those of audit that it takes the place of, `actor` counts only without them."""
    values: dict[str, Value] = {}
    shared: dict[str, Value] = {}
    records = [record for event in told for record in event.records][:MAX_RECORDS]
    if told:
        # The last call is the one that made the change: of a save by renaming, the renaming.
        values = {path: value for path, value in told[-1].values.items() if not path.startswith(_OF_THE_FILE)}
        shared = told[-1].shared
    else:
        values = {**_EVERY_EVENT, "time": seen.time_ms, "metadata.event_code": _CODES[seen.activity_id], **actor}
    values["activity_id"] = seen.activity_id
    values |= _names(seen)
    values |= _states(seen, users)
    values["unmapped.file.detected"] = seen.detected
    return Event(FILE_ACTIVITY, values, records, shared)


def _names(seen: Seen) -> dict[str, Value]:
    known = seen.state or seen.prior
    type_id = _TYPES.get(stat.S_IFMT(known.mode), 0) if known else 0
    renamed = seen.activity_id == RENAME and seen.old_path
    path, new_path = (_text(name) for name in (seen.old_path if renamed else seen.path, seen.path))
    values: dict[str, Value] = dict(file_values("file", path, type_id))
    values["file.parent_folder"] = posixpath.dirname(path) or "/"
    if renamed and seen.path != seen.old_path:
        values |= file_values("file_result", new_path, type_id)
    elif seen.old_path and seen.old_path != seen.path:
        values["unmapped.file.moved_from"] = _text(seen.old_path)
    return values


def _text(path: str) -> str:
    """As audit's mapping writes names that are not UTF-8."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def _states(seen: Seen, users: Users) -> dict[str, Value]:
    known = seen.state or seen.prior
    values: dict[str, Value] = {}
    if known is not None:
        values["file.uid"] = file_uid(known)
        values["file.owner.uid"] = str(known.uid)
        name = users.name(str(known.uid))
        if name:
            values["file.owner.name"] = name
        values["file.modified_time"] = known.modified_ns // 1_000_000
        values["unmapped.file.mode"] = _mode(known)
        values["unmapped.file.group"] = str(known.gid)
        if known.is_regular:
            values["file.size"] = known.size
        if known.sha256:
            values["file.hashes"] = _hashes(known.sha256)
    return values | attribute_values(seen.state, seen.prior)


def attribute_values(state: FileState | None, prior: FileState | None) -> dict[str, Value]:
    """How the file was before, where that differs from how it is, and in what it differs."""
    if prior is None or state is None:
        return {}
    values: dict[str, Value] = {}
    if _content_differs(state, prior):
        values["unmapped.file.prior_size"] = prior.size
        if prior.sha256:
            values["unmapped.file.prior_hash"] = prior.sha256.hex()
    if state.mode != prior.mode:
        values["unmapped.file.prior_mode"] = _mode(prior)
    if state.uid != prior.uid:
        values["unmapped.file.prior_owner"] = str(prior.uid)
    if state.gid != prior.gid:
        values["unmapped.file.prior_group"] = str(prior.gid)
    return values


def _content_differs(state: FileState, prior: FileState) -> bool:
    if state.sha256 and prior.sha256:
        return state.sha256 != prior.sha256
    return state.is_regular and not state.has_content_of(prior)


def _mode(state: FileState) -> str:
    return f"{stat.S_IMODE(state.mode):04o}"


def _hashes(digest: bytes) -> str:
    return f'[{{"algorithm":"SHA-256","algorithm_id":3,"value":"{digest.hex()}"}}]'
