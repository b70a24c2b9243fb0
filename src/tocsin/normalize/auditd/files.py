"""Files that a system call named: PATH records, made absolute with CWD."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from typing import Final

from tocsin.model.event import Value
from tocsin.normalize.auditd.acting import file_values, join_path, present
from tocsin.normalize.auditd.reassemble import AuditEvent
from tocsin.normalize.auditd.record import AuditRecord

__all__ = ["path_of", "paths", "read_file", "read_mount", "read_move", "read_open", "working_directory"]

_CREATE, _READ, _UPDATE, _OPEN = 1, 2, 3, 14
_O_ACCMODE, _O_TRUNC = 3, 0o1000
_S_IFMT_SHIFT: Final = 12
_FILE_TYPES: Final = {0o10: 1, 0o04: 2, 0o02: 3, 0o06: 4, 0o14: 5, 0o01: 6, 0o12: 7}
_UNKNOWN_TYPE: Final = 0
# Where open's flags are among the arguments; creat always truncates, openat2 has a record of its own.
_FLAGS_ARGUMENT: Final = {"open": "a1", "openat": "a2", "open_by_handle_at": "a2"}
# Calls whose names may be relative to a folder that is given by descriptor in this argument, per name.
_FOLDER_ARGUMENT: Final = {
    "openat": "a0",
    "openat2": "a0",
    "unlinkat": "a0",
    "mkdirat": "a0",
    "mknodat": "a0",
    "fchmodat": "a0",
    "fchmodat2": "a0",
    "fchownat": "a0",
    "utimensat": "a0",
    "renameat": "a0",
    "renameat2": "a0",
    "linkat": "a0",
    "symlinkat": "a1",
    "execveat": "a0",
    "newfstatat": "a0",
    "faccessat": "a0",
    "faccessat2": "a0",
    "readlinkat": "a0",
    "statx": "a0",
}
_AT_FDCWD: Final = frozenset({"ffffff9c", "ffffffffffffff9c"})


def paths(event: AuditEvent) -> list[AuditRecord]:
    """The PATH records of an event that name what it is about, not the folder that holds it.

    Of a file system above another one, overlayfs for one, the kernel also tells what is done below, which has no name.
    """
    found = [record for record in event.records if record.type == "PATH"]
    meant = [record for record in found if _nametype(record) != "PARENT"] or found
    return [record for record in meant if present(record.get("name"))] or meant


def working_directory(event: AuditEvent) -> str:
    """What CWD says, or nothing."""
    for record in event.records:
        if record.type == "CWD":
            return record.values[0] if record.values else ""
    return ""


def path_of(record: AuditRecord, event: AuditEvent, code: str, call: AuditRecord | None) -> str:
    """Absolute path of a PATH record.

    It stays relative where the call named a folder by descriptor: audit does not say which folder that is.
    """
    name = record.get("name")
    if not present(name):
        return ""
    argument = _FOLDER_ARGUMENT.get(code)
    if argument and call is not None and not name.startswith("/") and call.get(argument) not in _AT_FDCWD:
        return name
    return join_path(working_directory(event), name)


def read_file(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The file a call is about: the last one named, which is the one it changes."""
    named = paths(event)
    if named:
        _set_file(values, named[-1], path_of(named[-1], event, code, call))


def read_open(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The file opened or made, and whether it is new, to be written, or only to be read."""
    named = paths(event)
    created = [record for record in named if _nametype(record) == "CREATE"]
    if named:
        record = (created or named)[-1]
        _set_file(values, record, path_of(record, event, code, call))
    if created or code.startswith("mk"):
        values["activity_id"] = _CREATE
    else:
        values["activity_id"] = _UPDATE if _is_for_writing(event, call, code) else _OPEN


def read_move(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The file before and after a rename, or the file and its new name for a link; audit tells no symlink's target."""
    named = paths(event)
    made = [record for record in named if _nametype(record) == "CREATE"]
    others = [record for record in named if _nametype(record) != "CREATE"] if not code.startswith("symlink") else []
    if others:
        _set_file(values, others[0], path_of(others[0], event, code, call))
    elif made:
        _set_file(values, made[0], path_of(made[0], event, code, call))
    if others and made:
        result = path_of(made[-1], event, code, call)
        if result:
            values |= file_values("file_result", result, _type_id(made[-1].get("mode")))


def read_mount(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The place that something is mounted on, the first name that the kernel looked up."""
    named = paths(event)
    if named:
        _set_file(values, named[0], path_of(named[0], event, code, call))


def _set_file(values: dict[str, Value], record: AuditRecord, path: str) -> None:
    inode = record.get("inode")
    if inode:
        values["file.uid"] = f"{record.get('dev')}:{inode}"
    if path:
        values |= file_values("file", path, _type_id(record.get("mode")))
        values |= _folder(path)
    elif inode:
        # A call on a descriptor, fchmod for one: audit knows the inode only, so that is the file's name.
        values["file.name"] = values["file.uid"]
        values["file.type_id"] = _type_id(record.get("mode"))


@lru_cache(maxsize=512)
def _folder(path: str) -> tuple[tuple[str, Value], ...]:
    folder = posixpath.dirname(path)
    return (("file.parent_folder", folder),) if folder else ()


def _nametype(record: AuditRecord) -> str:
    return record.get("nametype") or record.get("objtype")  # objtype before Linux 4.3


def _is_for_writing(event: AuditEvent, call: AuditRecord | None, code: str) -> bool:
    if code == "creat":
        return True
    if code == "openat2":
        flags = next((record.get("oflag") for record in event.records if record.type == "OPENAT2"), "")
        return _writes(flags.removeprefix("0"), base=8)
    argument = _FLAGS_ARGUMENT.get(code)
    return bool(argument) and call is not None and _writes(call.get(str(argument)), base=16)


@lru_cache(maxsize=1024)
def _writes(flags: str, base: int) -> bool:
    try:
        number = int(flags, base)
    except ValueError:
        return False
    return bool(number & _O_ACCMODE) or bool(number & _O_TRUNC)


@lru_cache(maxsize=1024)
def _type_id(mode: str) -> int:
    """OCSF file type from the mode as audit prints it, in octal."""
    try:
        return _FILE_TYPES.get(int(mode, 8) >> _S_IFMT_SHIFT, _UNKNOWN_TYPE)
    except ValueError:
        return _UNKNOWN_TYPE
