"""Parents and identities of the processes in an audit log, from the log alone.

The agent asks /proc; a log has only what its records said before. A process is identified by its first record's time
and serial, and the event says so (`unmapped.audit.identity`), which gives the same identity in every replay.
"""

from __future__ import annotations

import json
from typing import Final

from tocsin.model.event import Event, Value
from tocsin.normalize.auditd.acting import file_values

__all__ = ["Lineage"]

_PROCESS_ACTIVITY, _SUCCESS, _INIT = 1007, 1, 1
_STARTING: Final = frozenset({"execve", "execveat"})
_MAX_PROCESSES: Final = 8192
_MAX_ANCESTORS: Final = 8


class _Process:
    """One process, as its last program start left it."""

    __slots__ = ("cmd_line", "name", "parent", "parent_pid", "path", "pid", "uid")

    def __init__(self, pid: int, uid: str, parent_pid: int, parent: _Process | None) -> None:
        self.pid, self.uid, self.parent_pid, self.parent = pid, uid, parent_pid, parent
        self.name = self.path = self.cmd_line = ""

    def described(self, prefix: str) -> dict[str, Value]:
        """What is known of it as attributes under `prefix`."""
        values: dict[str, Value] = {f"{prefix}.pid": self.pid, f"{prefix}.uid": self.uid}
        if self.name:
            values[f"{prefix}.name"] = self.name
        if self.path:
            values |= file_values(f"{prefix}.file", self.path)
        if self.cmd_line:
            values[f"{prefix}.cmd_line"] = self.cmd_line
        return values

    def ancestors(self) -> list[dict[str, Value]]:
        """Nearest first; a chain that a reused id has closed to a ring ends at the limit."""
        found: list[dict[str, Value]] = []
        ancestor = self.parent
        while ancestor is not None and len(found) < _MAX_ANCESTORS:
            names = ("pid", "uid", "name", "path", "cmd_line")
            found.append({name: getattr(ancestor, name) for name in names})
            ancestor = ancestor.parent
        return found


class Lineage:
    """Remembers the processes of a log, the longest unseen are forgotten first."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], _Process] = {}

    def enrich(self, event: Event) -> None:
        """Add identity, parent and ancestors of the acting process, as far as earlier events told them."""
        values = event.values
        prefix = "process" if "process.parent_process.pid" in values else "actor.process"
        if "actor.process.parent_process.pid" in values:  # a refused program, or another process, is no process of ours
            prefix = "actor.process"
        pid = values.get(f"{prefix}.pid")
        if not isinstance(pid, int):
            return
        process = self._meet(event, pid, prefix)
        added = process.described(prefix) | self._above(process, prefix)
        if event.class_uid == _PROCESS_ACTIVITY and prefix == "process":
            added |= self._actor(values, process)
        added["unmapped.audit.identity"] = "record"
        event.values = added | values

    def _meet(self, event: Event, pid: int, prefix: str) -> _Process:
        values = event.values
        node = str(values.get("device.hostname", ""))
        process = self._known.pop((node, pid), None)
        parent_pid = values.get(f"{prefix}.parent_process.pid", process.parent_pid if process else 0)
        if process is None or (parent_pid not in {process.parent_pid, _INIT} and isinstance(parent_pid, int)):
            # Another parent means another process with the same id, unless its parent died and init took it over.
            uid = f"{pid}-r{values['time']}.{values['unmapped.audit.serial']}"
            process = _Process(pid, uid, int(parent_pid), self._known.get((node, int(parent_pid))))
        self._known[node, pid] = process
        if len(self._known) > _MAX_PROCESSES:
            del self._known[next(iter(self._known))]
        self._describe(process, values, prefix)
        return process

    def _describe(self, process: _Process, values: dict[str, Value], prefix: str) -> None:
        """What the event says of the process itself; a program that starts has its own arguments or none."""
        if prefix == "process" and _starts_program(values):
            process.cmd_line = ""
        process.name = str(values.get(f"{prefix}.name", process.name))
        process.path = str(values.get(f"{prefix}.file.path", process.path))
        process.cmd_line = str(values.get(f"{prefix}.cmd_line", process.cmd_line))

    def _above(self, process: _Process, prefix: str) -> dict[str, Value]:
        if process.parent is None:
            return {}
        above = process.parent.described(f"{prefix}.parent_process")
        above[f"{prefix}.ancestry"] = json.dumps(process.ancestors())
        return above

    def _actor(self, values: dict[str, Value], process: _Process) -> dict[str, Value]:
        """Of a program start the actor is the parent, of a change to itself the process."""
        actor = process.parent if _starts_program(values) else process
        return actor.described("actor.process") if actor else {}


def _starts_program(values: dict[str, Value]) -> bool:
    return values["metadata.event_code"] in _STARTING and values.get("status_id") == _SUCCESS
