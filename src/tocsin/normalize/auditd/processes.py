"""What happens to processes: programs started, identities changed, other processes signalled, traced or written to."""

from __future__ import annotations

import posixpath
from typing import Final

from tocsin.model.event import Value
from tocsin.normalize.auditd.acting import file_values, integer, present
from tocsin.normalize.auditd.files import path_of, paths, working_directory
from tocsin.normalize.auditd.reassemble import AuditEvent
from tocsin.normalize.auditd.record import AuditRecord

__all__ = ["read_command", "read_launch", "read_memory", "read_module", "read_self", "read_target", "read_trace"]

_MEMORY_ACTIVITY: Final = 1004
_TERMINATE, _INJECT, _OTHER = 2, 4, 99
_READ_MEMORY, _WRITE_MEMORY = 7, 8
# ptrace(2) requests by number.
_PEEKS, _POKES, _ATTACHES = frozenset({1, 2, 3}), frozenset({4, 5, 6, 13, 15}), frozenset({0x10, 0x4206})
# Signals that end the process that does not catch them, and that are sent for it: HUP, INT, QUIT, ABRT, KILL, TERM.
_ENDING_SIGNALS: Final = frozenset({1, 2, 3, 6, 9, 15})
# Which argument holds the process and which the signal; all arguments are hex.
_TARGET_ARGUMENT: Final = {"tgkill": "a1", "ptrace": "a1"}
_SIGNAL_ARGUMENT: Final = {"tgkill": "a2", "rt_tgsigqueueinfo": "a2"}
_INHERITED: Final = tuple(
    (f"actor.process.{name}", f"process.{name}")
    for name in ("user.uid", "user.name", "auid", "euid", "parent_process.pid")
)
_EXITS: Final = frozenset({"exit", "exit_group"})
_SIGNALLING: Final = frozenset({"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"})


def read_launch(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The program started: its command line, folder and file; what was tried, if the kernel refused."""
    if "actor.process.pid" in values:
        _read_refused_launch(values, event, call, code)
        return
    parent = values.get("process.parent_process.pid")
    if parent is not None:
        values["actor.process.pid"] = parent
    folder = working_directory(event)
    if folder:
        values["process.working_directory"] = folder
    line = command_line(event)
    if line:
        values["process.cmd_line"] = line
    _set_exit_code(values, call)


def _read_refused_launch(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The kernel prints no EXECVE then, and `exe` is still the caller's."""
    values["process.pid"] = values["actor.process.pid"]
    for theirs, own in _INHERITED:
        if theirs in values:
            values[own] = values[theirs]
    named = paths(event)
    path = path_of(named[0], event, code, call) if named else ""
    if path:
        values |= file_values("process.file", path)
        values["process.name"] = posixpath.basename(path)
    folder = working_directory(event)
    if folder:
        values["process.working_directory"] = folder
    _set_exit_code(values, call)


def command_line(event: AuditEvent) -> str:
    """The arguments joined by blanks; from PROCTITLE, which is cut at 128 bytes, if EXECVE is missing."""
    title = ""
    for record in event.records:
        if record.type == "EXECVE" and record.keys and record.keys[0] == "argc":
            return " ".join(record.values[1:])
        if record.type == "PROCTITLE":
            title = record.get("proctitle")
    return title


def read_self(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """A process that changes itself: it is the process and the actor."""
    parent = values.get("process.parent_process.pid")
    values["actor.process.pid"] = values.get("process.pid", parent if parent is not None else 0)
    path = values.get("process.file.path")
    if isinstance(path, str):
        values |= file_values("actor.process.file", path)
    if "process.name" in values:
        values["actor.process.name"] = values["process.name"]
    title = command_line(event)
    if title and code != "ANOM_ABEND":
        values["process.cmd_line"] = title
    if code in _EXITS:
        _set_own_exit_code(values, call)
    else:
        _set_exit_code(values, call)


def read_target(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The process that another one acts on: what OBJ_PID says, or the id among the arguments."""
    target = next((record for record in event.records if record.type == "OBJ_PID"), None)
    pid = integer(target.get("opid")) if target else _hex_argument(call, _TARGET_ARGUMENT.get(code, "a0"))
    if pid is not None and pid > 0:
        values["process.pid"] = pid
    if target and present(target.get("ocomm")):
        values["process.name"] = target.get("ocomm")
    if code in _SIGNALLING:
        signal = _hex_argument(call, _SIGNAL_ARGUMENT.get(code, "a1"))
        values["activity_id"] = _TERMINATE if signal in _ENDING_SIGNALS else _OTHER


def read_trace(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> int:
    """ptrace: reading and writing memory is memory activity, attaching is an injection, the rest is left as it is."""
    read_target(values, event, call, code)
    request = _hex_argument(call, "a0")
    if request in _PEEKS or request in _POKES:
        values["activity_id"] = _READ_MEMORY if request in _PEEKS else _WRITE_MEMORY
        return _MEMORY_ACTIVITY
    values["activity_id"] = _INJECT if request in _ATTACHES else _OTHER
    return 0


def read_memory(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """A process's own memory."""
    del event, call, code
    for name in ("pid", "name"):
        if f"actor.process.{name}" in values:
            values[f"process.{name}"] = values[f"actor.process.{name}"]


def read_module(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The kernel module: KERN_MODULE's name, the file that was named, or the call if the kernel says neither."""
    named = paths(event)
    if named:
        values |= file_values("driver.file", path_of(named[-1], event, code, call))
    for record in event.records:
        if record.type == "KERN_MODULE" and present(record.get("name")):
            values["driver.file.name"] = record.get("name")
    values.setdefault("driver.file.name", code)
    values.setdefault("driver.file.type_id", 1)


def read_command(values: dict[str, Value], event: AuditEvent, call: AuditRecord | None, code: str) -> None:
    """The command that sudo says it runs, or refused to."""
    del call, code
    record = event.records[0]
    if "actor.process.pid" in values:
        values["process.pid"] = values["actor.process.pid"]
    if present(record.get("cmd")):
        values["process.cmd_line"] = record.get("cmd")
    if present(record.get("cwd")):
        values["process.working_directory"] = record.get("cwd")
    terminal = record.get("terminal")
    if present(terminal):
        values["process.session.terminal"] = terminal


def _hex_argument(call: AuditRecord | None, name: str) -> int | None:
    """An argument that is a 32-bit number; audit prints the whole register."""
    text = call.get(name) if call else ""
    try:
        return int(text, 16) & 0xFFFFFFFF
    except ValueError:
        return None


def _set_own_exit_code(values: dict[str, Value], call: AuditRecord | None) -> None:
    """The code that a process gives when it ends: the call never returns one. Of its argument the last byte counts."""
    code = _hex_argument(call, "a0")
    if code is not None:
        values["exit_code"] = code & 0xFF


def _set_exit_code(values: dict[str, Value], call: AuditRecord | None) -> None:
    exit_code = integer(call.get("exit")) if call else None
    if exit_code is not None and -(2**31) <= exit_code < 2**31:
        values["exit_code"] = exit_code
