"""From the sensor's records to events: those that the kernel's audit would give for the same, attribute by attribute.

Most records come from processes that have been seen a moment ago, or from programs that one process starts again and
again: what they have in common is made once, found by the bytes that say it.
"""

from __future__ import annotations

import signal
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tocsin.agent.bpf.layout import (
    BY_DESCRIPTOR,
    CWD_DELETED,
    EXE_DELETED,
    HEAD,
    HEAD_SIZE,
    IDENTITY,
    TRUNCATED,
    UNREADABLE,
    WHO,
    Kind,
    text_of,
)
from tocsin.agent.host.processes import TICKS_PER_S
from tocsin.model.event import Event, Value
from tocsin.normalize.auditd.acting import file_values, join_path, process_values
from tocsin.normalize.auditd.network import REFUSED, UNDER_WAY
from tocsin.normalize.auditd.record import AuditRecord, shared_keys
from tocsin.normalize.auditd.sockaddr import decode_sockaddr
from tocsin.normalize.auditd.tables import errno_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tocsin.agent.bpf.cgroups import Cgroups

__all__ = ["Mapper"]

PROCESS_ACTIVITY, NETWORK_ACTIVITY = 1007, 4001
LAUNCH, TERMINATE = 1, 2
OPEN, FAIL, REFUSE, LISTEN = 1, 4, 5, 7
INBOUND, OUTBOUND = 1, 2
SUCCESS, FAILURE = 1, 2
LOG_NAME: Final = "ebpf"
DELETED: Final = " (deleted)"
MAX_KNOWN: Final = 1024
NS_PER_TICK: Final = 1_000_000_000 // TICKS_PER_S
_PID_END: Final = HEAD.size + 12  # behind start and id
_INHERITED: Final = ("user.uid", "user.name", "auid", "euid", "parent_process.pid")
_ITSELF: Final = ("process.name", "process.file.path", "process.file.name", "process.file.type_id")
_UNPACK_HEAD, _UNPACK_IDENTITY = HEAD.unpack_from, IDENTITY.unpack_from


class Mapper:
    """Makes events of records. `prefix` begins every process identity, as `ProcessTable` has it."""

    def __init__(self, prefix: str, cgroups: Cgroups) -> None:
        self._prefix, self._cgroups = prefix, cgroups
        self._boot_ns = 0
        self._actors: dict[tuple[bytes, int], dict[str, Value]] = {}
        self._programs: dict[tuple[bytes, int], dict[str, Value]] = {}
        self._mappers: dict[int, Callable[[bytes, tuple[int, ...]], Event]] = {
            Kind.EXEC: self._launch,
            Kind.REFUSED: self._refused,
            Kind.CONNECT: self._connect,
            Kind.BIND: self._bind,
            Kind.ACCEPT: self._accept,
            Kind.ACCEPT4: self._accept,
            Kind.EXIT: self._exit,
        }

    def map(self, records: Iterable[bytes]) -> list[Event]:
        """One event per record."""
        # The wall clock may be set; records count from the boot.
        self._boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        mappers = self._mappers
        return [mappers[(head := _UNPACK_HEAD(record))[1]](record, head) for record in records]

    def _time_ms(self, head: tuple[int, ...]) -> int:
        return (self._boot_ns + head[0]) // 1_000_000

    def _identity(self, pid: int, start_ns: int) -> str:
        return f"{self._prefix}-{pid}-{start_ns // NS_PER_TICK}"

    def _launch(self, record: bytes, head: tuple[int, ...]) -> Event:
        _, _, flags, _, exe_size, cwd_size, rest_size, _, _ = head
        start_ns, pid, *_ = _UNPACK_IDENTITY(record, HEAD.size)
        exe_end = HEAD_SIZE + exe_size
        cwd_end = exe_end + cwd_size
        arguments = record[cwd_end : cwd_end + rest_size].decode("utf-8", "backslashreplace").split("\0")
        if not arguments[-1]:  # each has a NUL behind it, but one that was cut
            arguments.pop()
        time_ms = self._time_ms(head)
        values = self._program(record, flags & EXE_DELETED, exe_end) | {
            "time": time_ms,
            "process.pid": pid,
            "process.uid": self._identity(pid, start_ns),
            "process.working_directory": _path(record[exe_end:cwd_end], flags & CWD_DELETED),
            "metadata.event_code": "execveat" if flags & BY_DESCRIPTOR else "execve",
        }
        line = " ".join(arguments)
        if line:
            values["process.cmd_line"] = line
        if flags & (TRUNCATED | UNREADABLE):
            values["unmapped.truncated"] = True
        return Event(PROCESS_ACTIVITY, values, (_execve(time_ms, arguments),))

    def _program(self, record: bytes, deleted: int, exe_end: int) -> dict[str, Value]:
        """What all processes that one parent starts with one program have in common."""
        key = record[_PID_END:exe_end], deleted
        values = self._programs.get(key)
        if values is None:
            own = self._process_values("process", record, deleted, exe_end)
            values = own | {
                "activity_id": LAUNCH,
                "status_id": SUCCESS,
                "exit_code": 0,
                "actor.process.pid": own["process.parent_process.pid"],
            }
            _remember(self._programs, key, values)
        return values

    def _actor(self, record: bytes, head: tuple[int, ...]) -> dict[str, Value]:
        """What all events of a process have in common, until it changes."""
        exe_end, deleted = HEAD_SIZE + head[4], head[2] & EXE_DELETED
        key = record[HEAD.size : exe_end], deleted
        values = self._actors.get(key)
        if values is None:
            start_ns, pid, *_ = _UNPACK_IDENTITY(record, HEAD.size)
            values = self._process_values("actor.process", record, deleted, exe_end) | {
                "actor.process.pid": pid,
                "actor.process.uid": self._identity(pid, start_ns),
            }
            _remember(self._actors, key, values)
        return values

    def _process_values(self, prefix: str, record: bytes, deleted: int, exe_end: int) -> dict[str, Value]:
        _, pid, parent_pid, parent_ns, cgroup = _UNPACK_IDENTITY(record, HEAD.size)
        uid, euid, _, egid, auid, session, comm, tty = WHO.unpack_from(record, HEAD.size + IDENTITY.size)
        exe = _path(record[HEAD_SIZE:exe_end], deleted)
        numbers = map(str, (parent_pid, auid, uid, euid, egid))
        fields = (*numbers, text_of(tty), str(session), text_of(comm), exe, "")
        values = process_values(prefix, fields) | {"metadata.log_name": LOG_NAME}
        if parent_pid:
            values[f"{prefix}.parent_process.uid"] = self._identity(parent_pid, parent_ns)
        return values | self._cgroups.container(cgroup, pid, prefix)

    def _refused(self, record: bytes, head: tuple[int, ...]) -> Event:
        """A program that was not started: its caller is the process, its file what was tried."""
        _, _, flags, result, exe_size, cwd_size, rest_size, from_cwd, _ = head
        actor = self._actor(record, head)
        exe_end = HEAD_SIZE + exe_size
        cwd_end = exe_end + cwd_size
        folder = _path(record[exe_end:cwd_end], flags & CWD_DELETED)
        name = text_of(record[cwd_end : cwd_end + rest_size])
        by_descriptor = flags & BY_DESCRIPTOR
        values = actor | {
            f"process.{name}": actor[path] for name in _INHERITED if (path := f"actor.process.{name}") in actor
        }
        values |= {
            "time": self._time_ms(head),
            "activity_id": LAUNCH,
            "process.pid": actor["actor.process.pid"],
            "process.uid": actor["actor.process.uid"],
            "process.working_directory": folder,
            "metadata.event_code": "execveat" if by_descriptor else "execve",
            "status_id": FAILURE,
            "status_code": errno_name(str(result)),
            "exit_code": result,
        }
        if name:
            # Which folder a descriptor names is not known.
            path = name if by_descriptor and not from_cwd else join_path(folder, name)
            values |= dict(file_values("process.file", path))
            values["process.name"] = path.rpartition("/")[2]
        return Event(PROCESS_ACTIVITY, values)

    def _connect(self, record: bytes, head: tuple[int, ...]) -> Event:
        result = head[3]
        values: dict[str, Value] = {
            "time": self._time_ms(head),
            "activity_id": OPEN,
            "metadata.event_code": "connect",
            "status_id": SUCCESS,
            "connection_info.direction_id": OUTBOUND,
        }
        if result:
            _set_outcome(values, str(result))
        values.update(_endpoint(record[HEAD_SIZE + head[4] :], "dst_endpoint"))
        return Event(NETWORK_ACTIVITY, values, (), self._actor(record, head))

    def _accept(self, record: bytes, head: tuple[int, ...]) -> Event:
        values = self._inbound(head, OPEN, "accept4" if head[1] == Kind.ACCEPT4 else "accept")
        values.update(_endpoint(record[HEAD_SIZE + head[4] :], "src_endpoint"))
        return Event(NETWORK_ACTIVITY, values, (), self._actor(record, head))

    def _bind(self, record: bytes, head: tuple[int, ...]) -> Event:
        values = self._inbound(head, LISTEN, "bind")
        values.update(_endpoint(record[HEAD_SIZE + head[4] :], "dst_endpoint"))
        return Event(NETWORK_ACTIVITY, values, (), self._actor(record, head))

    def _inbound(self, head: tuple[int, ...], activity_id: int, code: str) -> dict[str, Value]:
        values: dict[str, Value] = {
            "time": self._time_ms(head),
            "activity_id": activity_id,
            "metadata.event_code": code,
            "status_id": SUCCESS,
            "connection_info.direction_id": INBOUND,
        }
        if head[3] < 0:
            values |= {"status_id": FAILURE, "status_code": errno_name(str(head[3]))}
        return values

    def _exit(self, record: bytes, head: tuple[int, ...]) -> Event:
        """A process that has ended, all its threads: by itself, or by a signal, whose name then is the event's code."""
        exe_end, deleted = HEAD_SIZE + head[4], head[2] & EXE_DELETED
        start_ns, pid, *_ = _UNPACK_IDENTITY(record, HEAD.size)
        own = self._process_values("process", record, deleted, exe_end)
        own |= {f"actor.{path}": own[path] for path in _ITSELF if path in own}
        signal_number = head[3] & 0x7F
        values: dict[str, Value] = {
            "time": self._time_ms(head),
            "activity_id": TERMINATE,
            "process.pid": pid,
            "process.uid": self._identity(pid, start_ns),
            "actor.process.pid": pid,
            "metadata.event_code": _signal_name(signal_number) if signal_number else "exit_group",
            "exit_code": 128 + signal_number if signal_number else head[3] >> 8 & 0xFF,
        }
        return Event(PROCESS_ACTIVITY, own | values)


@lru_cache(maxsize=128)
def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals
        return f"signal {number}"


def _remember(
    known: dict[tuple[bytes, int], dict[str, Value]], key: tuple[bytes, int], values: dict[str, Value]
) -> None:
    if len(known) >= MAX_KNOWN:
        known.clear()
    known[key] = values


@lru_cache(maxsize=1024)
def _path(names: bytes, deleted: int) -> str:
    """A path from its names, innermost first."""
    path = b"/" + b"/".join(names.split(b"\0")[-2::-1])
    return path.decode("utf-8", "backslashreplace") + (DELETED if deleted else "")


def _execve(time_ms: int, arguments: list[str]) -> AuditRecord:
    """The arguments one by one, as audit's record of that name has them."""
    keys = shared_keys(("argc", *_argument_names(len(arguments))), arguments=True)
    return AuditRecord("EXECVE", time_ms, 0, "", keys, [str(len(arguments)), *arguments])


@lru_cache(maxsize=128)
def _argument_names(count: int) -> tuple[str, ...]:
    return tuple(f"a{number}" for number in range(count))


def _set_outcome(values: dict[str, Value], exit_code: str) -> None:
    values["status_code"] = errno_name(exit_code)
    if exit_code not in UNDER_WAY:
        values["status_id"] = FAILURE
        values["activity_id"] = REFUSE if exit_code == REFUSED else FAIL


@lru_cache(maxsize=1024)
def _endpoint(address: bytes, endpoint: str) -> dict[str, Value]:
    decoded = decode_sockaddr(address.hex())
    if "addr" in decoded:
        return {f"{endpoint}.ip": decoded["addr"], f"{endpoint}.port": int(decoded["port"])}
    family = decoded.get("family", "unknown")
    return {f"{endpoint}.svc_name": family, "connection_info.protocol_name": family}
