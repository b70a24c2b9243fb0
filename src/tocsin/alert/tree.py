"""The process tree of an alert: who started whom, as far as the evidence and the launches around it say.

Processes are merged by their identity. Bounded: chains of matched processes first, then what these started, then what
their parents started; equal childless siblings are drawn once, with a count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tocsin.alert.read import Alert, Evidence
from tocsin.model.condition import And, Condition, Field, Match, Or, Relation, Text
from tocsin.model.errors import TryLater
from tocsin.model.event import Event, Json, Value, nest
from tocsin.model.schema import CLASSES
from tocsin.ports import Query, Selection

__all__ = ["MAX_NODES", "Process", "Tree", "process_tree"]

MAX_NODES = 200
_PROCESS_ACTIVITY, _LAUNCH = 1007, 1
_AROUND_MS = 5 * 60_000
_MAX_LAUNCHES = 500
_MAX_CORE = 40
_INIT = 1


class Process(msgspec.Struct):
    """One process as drawn: place in the tree, what it ran, and whether its own event matched."""

    key: str
    depth: int = 0
    parent: str = ""
    pid: int = 0
    name: str = ""
    path: str = ""
    cmd_line: str = ""
    user: str = ""
    time: int = 0
    matched: bool = False
    related: bool = False  # an ancestor of a matched process
    alike: int = 1  # how many equal siblings this one stands for


class Tree(msgspec.Struct, frozen=True):
    """Processes in drawing order, each after its parent; `left_out` is how many the bound cut.

    `problem` says why launches around the evidence are missing, if they could not be read.
    """

    processes: list[Process]
    left_out: int = 0
    problem: str = ""


def process_tree(found: Alert, evidence: Sequence[Evidence], query: Query) -> Tree:
    """The tree of an alert, from its evidence and the process launches of its origin around it."""
    matched = [_chain(item.event, item.time) for item in evidence]
    matched = [chain for chain in matched if chain]
    if not matched:
        return Tree([])
    growing = _Growing()
    for chain in matched:
        growing.add(chain)
        growing.mark(chain)
    problem = ""
    try:
        for chain in _launches(found, matched, query):
            growing.add(chain)
    except TryLater as error:
        # The evidence alone is still worth seeing.
        problem = str(error)
    return Tree(_in_order(growing.processes), growing.left_out, problem)


class _Growing:
    """Processes by identity, up to MAX_NODES."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.left_out = 0

    def add(self, chain: list[Process]) -> None:
        fresh = sum(process.key not in self.processes for process in chain)
        if len(self.processes) + fresh > MAX_NODES:
            self.left_out += 1
            return
        for process, parent in zip(chain, [*chain[1:], None], strict=True):
            known = self.processes.setdefault(process.key, process)
            _complete(known, process)
            if parent and not known.parent and not self._descends(parent.key, process.key):
                known.parent = parent.key

    def _descends(self, key: str, ancestor: str) -> bool:
        """Two events can disagree about who started whom; a circle would be drawn nowhere."""
        while key in self.processes and key != ancestor:
            key = self.processes[key].parent
        return key == ancestor

    def mark(self, chain: list[Process]) -> None:
        first, *ancestors = [self.processes[process.key] for process in chain if process.key in self.processes]
        first.matched = True
        first.cmd_line = chain[0].cmd_line or first.cmd_line
        for process in ancestors:
            process.related = True


def _complete(known: Process, seen: Process) -> None:
    for name in ("pid", "name", "path", "cmd_line", "user", "time"):
        if not getattr(known, name):
            setattr(known, name, getattr(seen, name))


def _chain(event: Mapping[str, Json], time: int) -> list[Process]:
    """The event's process and its ancestors, nearest first; empty if the event names none."""
    subject = event.get("process") if event.get("class_uid") == _PROCESS_ACTIVITY else _at(event, "actor", "process")
    if not isinstance(subject, dict):
        return []
    chain = [_process(subject, time), *map(_process, _ancestors(subject))]
    # An identity that comes twice would make a circle of the chain.
    return list({process.key: process for process in reversed(chain)}.values())[::-1]


def _ancestors(subject: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    parent, ancestry = subject.get("parent_process"), subject.get("ancestry")
    listed = [item for item in ancestry if isinstance(item, dict)] if isinstance(ancestry, list) else []
    if isinstance(parent, dict) and not (listed and _key(listed[0]) == _key(parent)):
        yield parent
    yield from listed


def _process(said: Mapping[str, Json], time: int = 0) -> Process:
    path = said.get("path") or _at(said, "file", "path")
    created = said.get("created_time")
    return Process(
        key=_key(said),
        pid=_number(said.get("pid")),
        name=_text(said.get("name")) or _text(path).rpartition("/")[2],
        path=_text(path),
        cmd_line=_text(said.get("cmd_line")),
        user=_text(_at(said, "user", "name")) or _text(_at(said, "user", "uid")),
        time=created if isinstance(created, int) else time,
    )


def _key(said: Mapping[str, Json]) -> str:
    return _text(said.get("uid")) or f"pid {said.get('pid')}"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _at(said: Mapping[str, Json], outer: str, inner: str) -> Json:
    place = said.get(outer)
    return place.get(inner) if isinstance(place, dict) else None


def _launches(found: Alert, matched: list[list[Process]], query: Query) -> list[list[Process]]:
    """Chains of processes that the matched ones or their parents started: the matched ones' descendants first."""
    own = dict.fromkeys(chain[0].key for chain in matched)
    parents = dict.fromkeys(chain[1].key for chain in matched if len(chain) > 1 and chain[1].pid > _INIT)
    core = [key for key in (own | parents) if not key.startswith("pid ")][:_MAX_CORE]
    if not core:
        return []
    rows = query.events(_selection(found, core))
    chains = [chain for chain in (_chain(_nested(row), int(str(row["time"]))) for row in rows) if chain]
    return sorted(chains, key=lambda chain: not any(process.key in own for process in chain))


def _selection(found: Alert, core: list[str]) -> Selection:
    born = (Match(Field("process.parent_process.uid"), Text(Relation.EQUALS, key, cased=True)) for key in core)
    descended = (Match(Field("process.ancestry"), Text(Relation.CONTAINS, key, cased=True)) for key in core)
    here: tuple[Condition, ...] = (
        Match(Field("device.uid"), Text(Relation.EQUALS, found.origin, cased=True)),
        Match(Field("activity_id"), Text(Relation.EQUALS, str(_LAUNCH))),
        Or((*born, *descended)),
    )
    return Selection(
        org=found.org,
        since=found.first_event_at - _AROUND_MS,
        until=found.last_event_at + _AROUND_MS,
        condition=And(here),
        class_uids=(_PROCESS_ACTIVITY,),
        limit=_MAX_LAUNCHES,
        newest_first=False,
    )


def _nested(row: Mapping[str, object]) -> dict[str, Json]:
    paths = CLASSES[_PROCESS_ACTIVITY].paths
    values: dict[str, Value] = {
        path: value for path, value in row.items() if path in paths and isinstance(value, str | int)
    }
    return nest(Event(_PROCESS_ACTIVITY, values))


def _in_order(processes: dict[str, Process]) -> list[Process]:
    children: dict[str, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent if process.parent in processes else "", []).append(process)
    ordered: list[Process] = []
    # By hand, since a chain may be deeper than Python likes to recurse.
    waiting = [(process, 0) for process in reversed(_siblings(children.get("", []), children))]
    while waiting:
        process, process.depth = waiting.pop()
        ordered.append(process)
        below = _siblings(children.get(process.key, []), children)
        waiting += [(child, process.depth + 1) for child in reversed(below)]
    return ordered


def _siblings(processes: list[Process], children: Mapping[str, list[Process]]) -> list[Process]:
    """In order of start; childless ones that look the same become one."""
    kept: dict[tuple[str, ...], Process] = {}
    for process in sorted(processes, key=lambda p: (p.time, p.pid)):
        alone = process.matched or process.key in children
        look = (process.key,) if alone else ("", process.name, process.path, process.cmd_line, process.user)
        if look in kept:
            kept[look].alike += 1
        else:
            kept[look] = process
    return list(kept.values())
