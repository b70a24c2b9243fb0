"""From a Linux audit event to an event of the schema.

Which class and activity a system call or record becomes is data (content/mappings/auditd.toml, in words in
docs/mapping-auditd.md); here is how a class's attributes are read. The records stay with the event, whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tocsin.model.event import Event, Value
from tocsin.model.schema import CLASSES
from tocsin.normalize.auditd import accounts, files, network, processes
from tocsin.normalize.auditd.acting import acting_process
from tocsin.normalize.auditd.interpret import is_success
from tocsin.normalize.auditd.meaning import NO_MEANING, Meaning, of_call, of_record, of_uring
from tocsin.normalize.auditd.reassemble import AuditEvent
from tocsin.normalize.auditd.record import AuditRecord
from tocsin.normalize.auditd.tables import errno_name

__all__ = ["map_event"]

Reader = Callable[[dict[str, Value], AuditEvent, AuditRecord | None, str], int | None]

_READERS: Final[dict[str, Reader]] = {
    "launch": processes.read_launch,
    "self": processes.read_self,
    "target": processes.read_target,
    "trace": processes.read_trace,
    "memory": processes.read_memory,
    "module": processes.read_module,
    "command": processes.read_command,
    "open": files.read_open,
    "file": files.read_file,
    "move": files.read_move,
    "mount": files.read_mount,
    "connect": network.read_connect,
    "accept": network.read_accept,
    "listen": network.read_listen,
    "traffic": network.read_traffic,
    "login": accounts.read_login,
    "account": accounts.read_account,
    "group": accounts.read_group,
}
# These readers neither ask for nor change what is said of the acting process, so its attributes stay apart, shared.
_SHARING: Final = frozenset(
    {"open", "file", "move", "mount", "connect", "accept", "listen", "traffic"},
)
# Of these at least one must be known, or the event is none of its class.
_MANDATORY: Final[dict[int, tuple[str, ...]]] = {
    1001: ("file.name",),
    1002: ("driver.file.name",),
    1004: ("process.pid",),
    1007: ("process.pid",),
    3001: ("user.name", "user.uid"),
    3002: ("user.name", "user.uid"),
    3006: ("group.name", "group.uid"),
    4001: ("dst_endpoint.ip", "src_endpoint.ip", "dst_endpoint.svc_name", "src_endpoint.svc_name"),
}
# io_uring does system calls without making them; the kernel writes URINGOP in the place of SYSCALL.
_CALLS: Final = frozenset({"SYSCALL", "URINGOP"})
# Records that only complete what a SYSCALL says; most records are these, and none decides what the event is.
_PARTS_OF_CALLS: Final = frozenset({"PATH", "CWD", "EXECVE", "SOCKADDR", "PROCTITLE", "BPRM_FCAPS", "OBJ_PID", "MMAP"})
_BASE_EVENT, _GROUP_MANAGEMENT, _OTHER = 0, 3006, 99
_ACCOUNT_OTHER: Final = Meaning("", 3001, _OTHER, "account")
_SUCCESS, _FAILURE = 1, 2


def map_event(event: AuditEvent) -> Event:
    """The event in the schema: what happened, who did it, to what, and whether it worked."""
    call, meaning = _meaning(event)
    record = event.records[0] if call is None else call
    succeeded = _status(record)
    itself = meaning.reader == "self" or (meaning.reader == "launch" and succeeded)
    shared = acting_process(record, "process" if itself else "actor.process")
    values: dict[str, Value] = {
        "time": event.time_ms,
        "activity_id": meaning.activity_id,
        "metadata.event_code": meaning.code,
        "unmapped.audit.serial": event.serial,
    }
    if meaning.reader not in _SHARING:
        values, shared = shared | values, {}
    if event.node:
        values["device.hostname"] = event.node
    if succeeded is not None:
        values["status_id"] = _SUCCESS if succeeded else _FAILURE
        if not succeeded:
            _set_status_code(values, record)
    last = event.records[-1]
    if last.type == "PROCTITLE" and not itself:
        values["actor.process.cmd_line"] = last.get("proctitle")
    class_uid = meaning.class_uid
    reader = _READERS.get(meaning.reader)
    if reader is not None:
        class_uid = reader(values, event, call, meaning.code) or class_uid
        if values.keys().isdisjoint(_MANDATORY[class_uid]):
            return _as_base_event(event, shared | values)
    return Event(class_uid, values, event.records, shared)


def _meaning(event: AuditEvent) -> tuple[AuditRecord | None, Meaning]:
    """The call of the event, if it has one, and what decides about the event: a record that says more, or it."""
    call = None
    for record in event.records:
        kind = record.type
        if kind in _CALLS:
            call = record
            continue
        if kind in _PARTS_OF_CALLS:
            continue
        meaning = of_record(kind, record.get("op"))
        if meaning is not None:
            if meaning.class_uid == _GROUP_MANAGEMENT and kind.startswith("USER_") and not record.get("grp"):
                meaning = _ACCOUNT_OTHER._replace(code=kind)
            return _call_of(event), meaning
    if call is None:
        return None, NO_MEANING._replace(code=event.records[0].type)
    if call.type == "URINGOP":
        return call, of_uring(call.get("uring_op"))
    return call, of_call(call.get("arch"), call.get("syscall"))


def _call_of(event: AuditEvent) -> AuditRecord | None:
    return next((record for record in event.records if record.type in _CALLS), None)


def _status(record: AuditRecord) -> bool | None:
    printed = record.get("success") or record.get("res")
    return is_success(printed) if printed else None


def _set_status_code(values: dict[str, Value], record: AuditRecord) -> None:
    code = errno_name(record.get("exit")) or record.get("res")
    if code:
        values["status_code"] = code


def _as_base_event(event: AuditEvent, values: dict[str, Value]) -> Event:
    """An event whose records do not say what its class must know; the records keep what they do say."""
    allowed = CLASSES[_BASE_EVENT].paths
    kept = {path: value for path, value in values.items() if path in allowed}
    kept["activity_id"] = _OTHER
    return Event(_BASE_EVENT, kept, event.records)
