"""Add what only this host knows to its events: who the processes are, where they come from, what users are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.agent.host.containers import Containers
from tocsin.agent.host.procfs import Container

if TYPE_CHECKING:
    from tocsin.agent.host.environment import Environment
    from tocsin.agent.host.processes import Process, ProcessTable
    from tocsin.agent.host.users import Users
    from tocsin.model.event import Event, Value

__all__ = ["Enricher"]

MEMORY_ACTIVITY: Final = 1004
PROCESS_ACTIVITY: Final = 1007
LAUNCH, TERMINATE = 1, 2
MAX_ACTORS: Final = 1024

ACTOR_PID: Final = "actor.process.pid"
CMD_LINE: Final = "actor.process.cmd_line"
ENVIRONMENT: Final = "process.environment_variables"
_PROGRAM: Final = ("process.name", "process.file.path", "process.cmd_line")
_USERS: Final = tuple(
    (f"{who}.uid", f"{who}.name") for who in ("actor.user", "actor.process.user", "process.user", "user")
)


class _Actor:
    """What all events of a process in one state have in common, enriched; it holds while the process stays the same.

    `mapped` is kept because its identity is the key.
    """

    __slots__ = ("_attributes", "_checked_ms", "mapped", "process", "shared")

    def __init__(self, mapped: dict[str, Value], process: Process, shared: dict[str, Value]) -> None:
        self.mapped, self.process, self.shared = mapped, process, shared
        self._attributes, self._checked_ms = process.attributes, process.checked_ms

    def holds(self) -> bool:
        """Is nothing newer known of the process?"""
        return self.process.attributes is self._attributes and self.process.checked_ms == self._checked_ms


class Enricher:
    """Enriches mapped events in place, in the order in which they happened."""

    def __init__(self, processes: ProcessTable, users: Users, environment: Environment | None = None) -> None:
        self._processes, self._users, self._environment = processes, users, environment
        self._actors: dict[int, _Actor] = {}

    def enrich(self, event: Event) -> None:
        """Fill in identity, lineage, container and user names; what the event says already stays."""
        if ACTOR_PID in event.shared:
            self._share(event)
            return
        event.values, event.shared = event.attributes(), {}
        values = event.values
        if event.class_uid == PROCESS_ACTIVITY and "actor.process.user.uid" not in values:
            event.values = values = self._with_own_process(event, values)
        elif "actor.process.pid" in values:
            event.values = values = self._with_actor(event.class_uid, values)
        self._name_users(values)

    def _share(self, event: Event) -> None:
        """Enrich the attributes of the acting process, once for all events that share them."""
        values, mapped = event.values, event.shared
        actor = self._actors.get(id(mapped))
        time_ms = int(values["time"])
        if actor is None or not actor.holds() or not self._processes.is_fresh(actor.process, time_ms):
            actor = self._meet(mapped, values)
        if CMD_LINE in values:  # from PROCTITLE: then what the event says stays
            event.values, event.shared = actor.shared | values, {}
        else:
            event.shared = actor.shared

    def _meet(self, mapped: dict[str, Value], values: dict[str, Value]) -> _Actor:
        process = self._seen(mapped | values, "actor.process")
        shared = _kept(process, "actor.process") | mapped
        self._name_users(shared)
        if len(self._actors) >= MAX_ACTORS:
            self._actors.clear()
        actor = self._actors[id(mapped)] = _Actor(mapped, process, shared)
        return actor

    def _with_own_process(self, event: Event, values: dict[str, Value]) -> dict[str, Value]:
        """A process that started a program or changed itself: `process` is what the record describes."""
        if values["activity_id"] == LAUNCH:
            process = self._told_launch(values) if "process.uid" in values else self._launch(values)
            if self._environment is not None and (variables := self._environment.of(process)):
                values[ENVIRONMENT] = variables
            # The program's attributes are new with each launch, so none are kept for later.
            return _launched(event, process, values)
        process = self._seen(values, "process")
        if values["activity_id"] == TERMINATE and process.began_ms:
            values["duration"] = max(int(values["time"]) - process.began_ms, 0)
        return _kept(process, "process") | _kept(process, "actor.process") | values

    def _launch(self, values: dict[str, Value]) -> Process:
        return self._processes.started(
            int(values["process.pid"]),
            int(values.get("process.parent_process.pid", 0)),
            str(values.get("process.name", "")),
            str(values.get("process.file.path", "")),
            str(values.get("process.cmd_line", "")),
            int(values["time"]),
            int(values["unmapped.audit.serial"]),
        )

    def _told_launch(self, values: dict[str, Value]) -> Process:
        """As a sensor in the kernel tells it, which knows the identity of process and parent, and the container."""
        time_ms, parent_uid = int(values["time"]), values.pop("process.parent_process.uid", "")
        parent_pid = int(values.get("process.parent_process.pid", 0))
        parent = self._processes.identified(str(parent_uid), parent_pid, time_ms) if parent_uid else None
        process = self._processes.launched(str(values["process.uid"]), int(values["process.pid"]), parent, time_ms)
        process.container = _container(values, "process")
        name, exe, cmd_line = (str(values.get(path, "")) for path in _PROGRAM)
        self._processes.run(process, name, exe, cmd_line)
        return process

    def _with_actor(self, class_uid: int, values: dict[str, Value]) -> dict[str, Value]:
        actor = self._seen(values, "actor.process")
        if class_uid in {PROCESS_ACTIVITY, MEMORY_ACTIVITY} and "process.pid" in values:
            return _kept(actor, "actor.process") | self._target(class_uid, values, actor) | values
        return _kept(actor, "actor.process") | values

    def _target(self, class_uid: int, values: dict[str, Value], actor: Process) -> dict[str, Value]:
        """What is known of the process that is acted on; of a program that was refused, its caller is the process."""
        pid = values["process.pid"]
        if pid == actor.pid:
            target: Process | None = actor
        else:
            target = self._processes.find(int(pid), int(values["time"]))
        if target is None:
            return {}
        return _kept(target, "process") if class_uid == PROCESS_ACTIVITY else {"process.uid": target.uid}

    def _seen(self, values: dict[str, Value], prefix: str) -> Process:
        if f"{prefix}.uid" in values:
            return self._told(values, prefix)
        return self._processes.seen(
            int(values[f"{prefix}.pid"]),
            int(values.get(f"{prefix}.parent_process.pid", 0)),
            str(values.get(f"{prefix}.name", "")),
            str(values.get(f"{prefix}.file.path", "")),
            int(values["time"]),
            int(values.get("unmapped.audit.serial", 0)),  # of what fanotify alone has seen
        )

    def _told(self, values: dict[str, Value], prefix: str) -> Process:
        """The process whose identity the event says; what /proc did not tell of it is the event's."""
        time_ms = int(values["time"])
        process = self._processes.identified(str(values[f"{prefix}.uid"]), int(values[f"{prefix}.pid"]), time_ms)
        values[f"{prefix}.uid"] = process.uid  # an identity is given once, even if it was not the best
        if not process.exe:
            process.container = _container(values, prefix)
            parent_uid = values.get(f"{prefix}.parent_process.uid")
            if parent_uid is not None:
                parent_pid = int(values[f"{prefix}.parent_process.pid"])
                process.parent = self._processes.identified(str(parent_uid), parent_pid, time_ms)
            exe = str(values.get(f"{prefix}.file.path", ""))
            self._processes.run(process, str(values.get(f"{prefix}.name", "")), exe, process.cmd_line)
        return process

    def _name_users(self, values: dict[str, Value]) -> None:
        for uid_path, name_path in _USERS:
            uid = values.get(uid_path)
            if uid is not None and name_path not in values:
                name = self._users.name(str(uid))
                if name is not None:
                    values[name_path] = name


def _container(values: dict[str, Value], prefix: str) -> Container | None:
    uid = values.get(f"{prefix}.container.uid")
    if uid is None:
        return None
    runtime, pod = (str(values.get(f"{prefix}.container.{name}", "")) for name in ("runtime", "pod_uuid"))
    return Container(str(uid), runtime, pod)


class _Paths:
    """The attributes of a process under one prefix, their names put together once."""

    def __init__(self, prefix: str) -> None:
        self.uid, self.name, self.cmd_line = f"{prefix}.uid", f"{prefix}.name", f"{prefix}.cmd_line"
        self.pid, self.created_time, self.ancestry = f"{prefix}.pid", f"{prefix}.created_time", f"{prefix}.ancestry"
        self.file_path, self.file_name = f"{prefix}.file.path", f"{prefix}.file.name"
        self.container = f"{prefix}.container."


_PROCESS, _ACTOR = _Paths("process"), _Paths("actor.process")
_PATHS: Final = {
    "process": (_PROCESS, _Paths("process.parent_process")),
    "actor.process": (_ACTOR, _Paths("actor.process.parent_process")),
}
_IDENTITY: Final = "unmapped.audit.identity"
_POD: Final = ("unmapped.kubernetes.pod", "unmapped.kubernetes.namespace")
_CONTAINERS: Final = Containers()
_PARENT_PIDS: Final = ("actor.process.pid", "process.parent_process.pid")


def _launched(event: Event, process: Process, values: dict[str, Value]) -> dict[str, Value]:
    """The process, and as its actor the parent, whose ancestry is the rest of the process's own.

    What is the parent's goes to what the event shares with the parent's other launches.
    """
    parent = process.parent
    if parent is None:
        return _own(process, _PROCESS) | values
    known = parent.attributes.get("launch")
    if known is None:
        known = parent.attributes["launch"] = _of_children(parent)
    for path in _PARENT_PIDS:
        values.pop(path, None)
    values = _own(process, _PROCESS) | values
    if not known.keys().isdisjoint(values):
        return known | values
    event.shared = known
    return values


def _of_children(parent: Process) -> dict[str, Value]:
    """What every program that a process launches has from it: its actor, and its parent."""
    attributes = _attributes(parent, "actor.process") | _described(parent, _ACTOR)
    attributes.pop(_ACTOR.ancestry, None)
    for path in (_IDENTITY, *_POD):  # the process has its own
        attributes.pop(path, None)
    attributes[_ACTOR.pid] = parent.pid
    return attributes | _as_parent(parent, "process")


def _kept(process: Process, prefix: str) -> dict[str, Value]:
    """The attributes of a process under a prefix, made once for all of its events."""
    attributes = process.attributes.get(prefix)
    if attributes is None:
        attributes = process.attributes[prefix] = _attributes(process, prefix)
    return attributes


def _attributes(process: Process, prefix: str) -> dict[str, Value]:
    own = _own(process, _PATHS[prefix][0])
    return own | _as_parent(process.parent, prefix) if process.parent else own


def _own(process: Process, paths: _Paths) -> dict[str, Value]:
    attributes: dict[str, Value] = {paths.uid: process.uid, _IDENTITY: "proc" if process.from_proc else "record"}
    if process.cmd_line:
        attributes[paths.cmd_line] = process.cmd_line
    if process.created_ms:
        attributes[paths.created_time] = process.created_ms
    container = process.container
    if container is not None:
        known = {"uid": container.uid, "runtime": container.runtime, "pod_uuid": container.pod_uuid}
        attributes |= _CONTAINERS.describe(container).attributes(paths.container)
        attributes |= {paths.container + name: value for name, value in known.items() if value}
    return attributes


def _as_parent(parent: Process, prefix: str) -> dict[str, Value]:
    """What a process's events say of its parent."""
    own, paths = _PATHS[prefix]
    named: dict[str, Value] = {paths.uid: parent.uid, paths.pid: parent.pid, own.ancestry: parent.lineage_json}
    return named | _described(parent, paths)


def _described(process: Process, paths: _Paths) -> dict[str, Value]:
    """Name, executable and arguments of a process that the event's own records do not describe."""
    described: dict[str, Value] = {paths.name: process.name} if process.name else {}
    if process.exe:
        described[paths.file_path] = process.exe
        described[paths.file_name] = process.exe.rpartition("/")[2]
    if process.cmd_line:
        described[paths.cmd_line] = process.cmd_line
    return described
