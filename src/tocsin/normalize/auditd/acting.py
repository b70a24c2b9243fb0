"""The process that did it, from the identity fields that SYSCALL and user-space records carry."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from typing import Final

from tocsin.model.event import Value
from tocsin.normalize.auditd.interpret import UNSET_IDS
from tocsin.normalize.auditd.record import AuditRecord, Keys, Picker

__all__ = ["acting_process", "file_values", "integer", "join_path", "present", "process_values"]

# In the order in which _process_values takes them; the names are those of audit's fields.
_FIELDS: Final = ("pid", "ppid", "auid", "uid", "euid", "egid", "tty", "ses", "comm", "exe", "UID")
_NOTHING: Final = frozenset({"", "?", "(none)", "(null)"})
_MAX_DIGITS: Final = 18  # more may not fit 64 bits
_REGULAR_FILE: Final = 1
_EVERY_EVENT: Final[dict[str, Value]] = {
    "severity_id": 1,
    "metadata.log_name": "auditd",
    "device.type_id": 1,
    "device.os.name": "Linux",
    "device.os.type_id": 200,
}


def acting_process(record: AuditRecord, prefix: str) -> dict[str, Value]:
    """What every event has, and the process that a record is about under `prefix`; the same dict, not to be changed.

    Most events come from processes that have been seen a moment ago: their attributes are made once.
    """
    process = record.process
    if process is None:
        return _process_values(prefix, *_picker(record.keys)(record.values))
    values = process.attributes.get(prefix)
    if values is None:
        values = _process_values(prefix, *_picker(process.keys)(process.values))
        process.attributes[prefix] = values
    return values


def _picker(keys: Keys) -> Picker:
    """What takes the identity fields from the values of this shape of record; empty for those it lacks."""
    picker = keys.pickers.get("acting")
    if picker is None:
        picker = keys.pickers["acting"] = keys.picker(_FIELDS)
    return picker


def _process_values(prefix: str, pid: str, *others: str) -> dict[str, Value]:
    number = integer(pid)
    if number is None:
        return _EVERY_EVENT | _login_values(others[1])
    return process_values(prefix, others) | {f"{prefix}.pid": number}


@lru_cache(maxsize=1024)
def process_values(prefix: str, fields: tuple[str, ...]) -> dict[str, Value]:
    """What `fields` say of a process: parent, auid, uid, euid, egid, terminal, session, comm, exe, login name.

    Without its id: programs that one process starts again and again differ in nothing else.
    """
    ppid, auid, uid, euid, egid, tty, ses, comm, exe, user = fields
    values: dict[str, Value] = dict(_EVERY_EVENT)
    _set_integer(values, f"{prefix}.parent_process.pid", ppid)
    if present(comm):
        values[f"{prefix}.name"] = comm
    if present(exe):
        values |= file_values(f"{prefix}.file", exe)
    if auid not in UNSET_IDS:
        _set_integer(values, f"{prefix}.auid", auid)
    if ses not in UNSET_IDS and present(ses):
        values[f"{prefix}.session.uid"] = ses
    if present(tty):
        values[f"{prefix}.session.terminal"] = tty
    _set_integer(values, f"{prefix}.euid", euid)
    _set_integer(values, f"{prefix}.egid", egid)
    name = _login_name(uid, user)
    for who in (f"{prefix}.user", "actor.user"):
        if present(uid):
            values[f"{who}.uid"] = uid
        if name:
            values[f"{who}.name"] = name
    return values


def _login_name(uid: str, enriched: str) -> str:
    """What auditd calls the user in an enriched log, where it knew a name; 0 is root everywhere."""
    if enriched and not enriched.startswith("unknown(") and enriched != "unset":
        return enriched
    return "root" if uid == "0" else ""


def _login_values(auid: str) -> dict[str, Value]:
    """Who it was, of records that name no process: the login, which is all that CONFIG_CHANGE says."""
    return {"actor.user.uid": auid} if integer(auid) is not None and auid not in UNSET_IDS else {}


def present(text: str) -> bool:
    """Does a field say anything?"""
    return text not in _NOTHING


@lru_cache(maxsize=4096)
def integer(text: str) -> int | None:
    """A decimal number that fits 64 bits, or None."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS else None


def _set_integer(values: dict[str, Value], path: str, text: str) -> None:
    number = integer(text)
    if number is not None:
        values[path] = number


@lru_cache(maxsize=512)
def _file_values(prefix: str, path: str, type_id: int) -> tuple[tuple[str, Value], ...]:
    name = posixpath.basename(path.rstrip("/")) or path
    return (f"{prefix}.path", path), (f"{prefix}.name", name), (f"{prefix}.type_id", type_id)


def file_values(prefix: str, path: str, type_id: int = _REGULAR_FILE) -> tuple[tuple[str, Value], ...]:
    """Path, name and type of a file as attributes under `prefix`."""
    return _file_values(prefix, path, type_id)


def join_path(folder: str, name: str) -> str:
    """An absolute path from a working directory and a name as the process gave it."""
    path = name if name.startswith("/") or not folder else f"{folder}/{name}"
    if "/." in path or "//" in path:
        path = posixpath.normpath(path)
        # POSIX leaves the meaning of exactly two leading slashes open; Linux has none for it.
        return path[1:] if path.startswith("//") else path
    return path
