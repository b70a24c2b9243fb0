"""The processes of this host as the agent knows them: identity, lineage, container.

A process is read from /proc when its program starts or it is first met. One that has ended by then is known from its
audit records alone; its identity then is its first record's time and serial, and says so. A sensor in the kernel tells
the identity itself, so that /proc is only asked for what was never told.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.host import procfs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.model.event import Value

__all__ = ["TICKS_PER_S", "Process", "ProcessTable", "identity_prefix"]

MAX_PROCESSES: Final = 8192
MAX_ANCESTORS: Final = 8
LONGEST_ANCESTOR_CMD_LINE: Final = 256
# A process id met again within this time is the same process: ids are not handed out again that fast.
REUSE_AFTER_MS: Final = 60_000
# A known process is looked at again now and then, as it may have ended and its id have been given to another one.
RECHECK_AFTER_MS: Final = 5_000
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Process:
    """One process, as it was when last looked at."""

    __slots__ = (
        "_lineage",
        "_lineage_json",
        "attributes",
        "checked_ms",
        "cmd_line",
        "container",
        "created_ms",
        "exe",
        "first_ms",
        "from_proc",
        "launched_ms",
        "name",
        "parent",
        "pid",
        "ticks",
        "uid",
    )

    def __init__(self, pid: int, uid: str, *, from_proc: bool, time_ms: int) -> None:
        self.pid, self.uid, self.from_proc = pid, uid, from_proc
        self.first_ms = self.checked_ms = time_ms
        self.created_ms = self.launched_ms = 0
        self.ticks = -1
        self.name = self.exe = self.cmd_line = ""
        self.container: procfs.Container | None = None
        self.parent: Process | None = None
        self._lineage: tuple[str, ...] = ()
        self._lineage_json = ""
        self.attributes: dict[str, dict[str, Value]] = {}  # what `enrich` adds to each event of it, by prefix

    @property
    def began_ms(self) -> int:
        """Its start; of one that had ended before it was looked at, the start of its program; 0 if neither is known."""
        return self.created_ms or self.launched_ms

    def forget_derived(self) -> None:
        """Make what is derived from the other attributes anew when it is next asked for."""
        self._lineage, self._lineage_json = (), ""
        self.attributes = {}

    @property
    def lineage(self) -> tuple[str, ...]:
        """This process and its ancestors as JSON objects, nearest first; most processes are never asked."""
        if not self._lineage:
            self._lineage = _lineage(self)
        return self._lineage

    @property
    def lineage_json(self) -> str:
        """The lineage as a JSON array: the ancestry of this process's children."""
        if not self._lineage_json:
            self._lineage_json = f"[{','.join(self.lineage)}]"
        return self._lineage_json


class ProcessTable:
    """Knows every process that it was asked for lately; bounded, the longest unseen are forgotten first.

    `redact` cleans a command line before it is kept.
    """

    def __init__(self, redact: Callable[[str], str], boot_id: str | None = None) -> None:
        self._redact = redact
        self._prefix = identity_prefix(boot_id or BOOT_ID.read_text().strip())
        self._by_pid: dict[int, Process] = {}
        self._boot_ms = _boot_time_ms()

    def __len__(self) -> int:
        return len(self._by_pid)

    def started(
        self, pid: int, parent_pid: int, name: str, exe: str, cmd_line: str, time_ms: int, serial: int
    ) -> Process:
        """The process that has just started a program, with the program's name, executable and arguments."""
        process = self._current(pid, time_ms) or self._from_record(pid, time_ms, serial)
        process.launched_ms = time_ms
        if process.parent is None or process.parent.pid != parent_pid:
            process.parent = self.find(parent_pid, time_ms)
        # One that has ended by now is still where it was.
        if process.from_proc and (cgroup := procfs.read_cgroup(pid)):
            process.container = procfs.container_of(cgroup)
        if process.container is None and not process.from_proc and process.parent:
            process.container = process.parent.container
        self.run(process, name, exe, cmd_line)
        return process

    def run(self, process: Process, name: str, exe: str, cmd_line: str) -> None:
        """Note which program a process runs from now on."""
        process.name, process.exe, process.cmd_line = name, exe, self._redact(cmd_line)
        self._keep(process)

    def launched(self, uid: str, pid: int, parent: Process | None, time_ms: int) -> Process:
        """The process of this identity, which has just started a program: /proc is not asked."""
        process = self._by_pid.get(pid)
        if process is None or process.uid != uid:
            process = self._told(uid, pid, time_ms)
        process.parent = parent
        return process

    def identified(self, uid: str, pid: int, time_ms: int) -> Process:
        """The process of this identity, from /proc if it was never met; one that has ended by then has no name yet."""
        known = self._by_pid.get(pid)
        if known is not None and known.uid == uid:
            if time_ms - known.checked_ms >= RECHECK_AFTER_MS:
                known.checked_ms = time_ms
            return known
        found = self._current(pid, time_ms)
        if found is not None and (found.uid == uid or self._began_before(found, uid)):
            return found
        process = self._told(uid, pid, time_ms)
        self._keep(process)
        return process

    def _began_before(self, known: Process, uid: str) -> bool:
        """Whether a process that is known from a record alone is the one that began at this identity's time."""
        return known.ticks < 0 and self._started_ms(int(uid.rpartition("-")[2])) <= known.first_ms

    def _told(self, uid: str, pid: int, time_ms: int) -> Process:
        process = Process(pid, uid, from_proc=True, time_ms=time_ms)
        process.ticks = int(uid.rpartition("-")[2])
        process.created_ms = self._started_ms(process.ticks)
        return process

    def seen(self, pid: int, parent_pid: int, name: str, exe: str, time_ms: int, serial: int) -> Process:
        """The process that a record is about."""
        process = self._by_pid.get(pid)
        if process is not None and process.exe == exe and time_ms - process.checked_ms < RECHECK_AFTER_MS:
            return process
        process = self._current(pid, time_ms)
        if process is None:
            process = self._from_record(pid, time_ms, serial)
            process.name, process.exe = name, exe
            process.parent = self.find(parent_pid, time_ms)
            process.container = process.parent.container if process.parent else None
            self._keep(process)
        return process

    def is_fresh(self, process: Process, time_ms: int) -> bool:
        """Is it still the one with its id, and need it not be looked at again yet?"""
        return self._by_pid.get(process.pid) is process and time_ms - process.checked_ms < RECHECK_AFTER_MS

    def find(self, pid: int, time_ms: int) -> Process | None:
        """A process by its id, from /proc if need be; None if it is gone and was never met."""
        process = self._by_pid.get(pid)
        if process is not None and abs(time_ms - process.checked_ms) < RECHECK_AFTER_MS:
            return process
        return self._current(pid, time_ms) if pid > 0 else None

    def _current(self, pid: int, time_ms: int) -> Process | None:
        """The process that has this id now, or had it until just now."""
        known = self._by_pid.get(pid)
        stat = procfs.read_stat(pid)
        if stat is None:
            return known if known and abs(time_ms - known.checked_ms) < REUSE_AFTER_MS else None
        if known is not None and self._is_same(known, stat):
            known.checked_ms, known.ticks = time_ms, stat.start_ticks
            return known
        return self._from_proc(pid, stat, time_ms)

    def _is_same(self, known: Process, stat: procfs.Stat) -> bool:
        """Whether the process that has the id now is the known one; of one known from a record, by its start."""
        if known.ticks >= 0:
            return known.ticks == stat.start_ticks
        return self._started_ms(stat.start_ticks) <= known.first_ms

    def _started_ms(self, ticks: int) -> int:
        return self._boot_ms + ticks * 1000 // TICKS_PER_S

    def _from_proc(self, pid: int, stat: procfs.Stat, time_ms: int) -> Process:
        process = Process(pid, f"{self._prefix}-{pid}-{stat.start_ticks}", from_proc=True, time_ms=time_ms)
        process.ticks = stat.start_ticks
        process.created_ms = self._started_ms(stat.start_ticks)
        process.name, process.exe = stat.name, procfs.read_exe(pid)
        process.cmd_line = self._redact(procfs.read_cmd_line(pid))
        process.container = procfs.read_container(pid)
        # The parent first, so that the lineage is whole; the depth is that of the process tree.
        process.parent = self.find(stat.parent_pid, time_ms)
        self._keep(process)
        return process

    def _from_record(self, pid: int, time_ms: int, serial: int) -> Process:
        return Process(pid, f"{self._prefix}-{pid}-r{time_ms}.{serial}", from_proc=False, time_ms=time_ms)

    def _keep(self, process: Process) -> None:
        process.forget_derived()
        self._by_pid.pop(process.pid, None)
        self._by_pid[process.pid] = process
        if len(self._by_pid) > MAX_PROCESSES:
            del self._by_pid[next(iter(self._by_pid))]


def identity_prefix(boot_id: str) -> str:
    """What the identities of all processes of a boot begin with; the process id and its start follow."""
    return boot_id.replace("-", "")[:12]


def _lineage(process: Process) -> tuple[str, ...]:
    own = {
        "pid": process.pid,
        "uid": process.uid,
        "name": process.name,
        "path": process.exe,
        "cmd_line": process.cmd_line[:LONGEST_ANCESTOR_CMD_LINE],
    }
    above = process.parent.lineage if process.parent else ()
    return (msgspec.json.encode(own).decode(), *above[: MAX_ANCESTORS - 1])


def _boot_time_ms() -> int:
    """When the machine booted, by the wall clock; process start times count from it."""
    return (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1_000_000
