"""Which events a policy may leave out; all others are kept whatever it says.

The list names what may be left out, not what may not: a class that nobody has thought of is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.model.schema import CLASSES

if TYPE_CHECKING:
    from tocsin.model.event import Event, Value

__all__ = ["DROPPABLE", "is_protected", "may_drop"]

FILE, PROCESS, NETWORK, HTTP, DNS = 1001, 1007, 4001, 4002, 4003
LAUNCH, TERMINATE = 1, 2
_VAGUE: Final = frozenset({0, 99})  # Unknown and Other may be anything: a packet socket is Network Activity: Other

# Activities, by class, of which a policy may leave events out.
DROPPABLE: Final[dict[int, frozenset[int]]] = {
    FILE: frozenset({2, 8, 9, 14}),  # Read, Get Attributes, Get Security, Open: what changes a watched file is kept
    PROCESS: frozenset({LAUNCH, TERMINATE}),  # and of these only what `is_protected` does not hold back
    **{uid: frozenset(CLASSES[uid].activities) - _VAGUE for uid in (NETWORK, HTTP, DNS)},
}
_EXITS: Final = frozenset({"exit", "exit_group"})  # a process that another one ends is no exit
_NO_FILE: Final = ("/memfd:", "memfd:")
_DELETED: Final = " (deleted)"


def may_drop(class_uid: int, activity_id: int) -> bool:
    """Whether any event of this class and activity may be left out."""
    return activity_id in DROPPABLE.get(class_uid, ())


def is_protected(event: Event) -> bool:
    """Whether this event is kept, whatever a policy says."""
    activity = event.values.get("activity_id", event.shared.get("activity_id", 0))
    if not may_drop(event.class_uid, int(activity)):
        return True
    if event.class_uid != PROCESS:
        return False
    values = event.attributes()
    if activity == TERMINATE:
        return values.get("metadata.event_code") not in _EXITS
    return _is_interactive(values) or _gains_privilege(values) or _has_no_file(values)


def _is_interactive(values: dict[str, Value]) -> bool:
    """Started at a terminal, or by what somebody's login has started."""
    for who in ("process", "actor.process"):
        if values.get(f"{who}.session.terminal") or values.get(f"{who}.session.uid"):
            return True
    return False


def _gains_privilege(values: dict[str, Value]) -> bool:
    """A program that runs as another user than who started it: its set-user-id bit is set."""
    euid, uid = values.get("process.euid"), values.get("process.user.uid")
    return euid is not None and uid is not None and str(euid) != str(uid)


def _has_no_file(values: dict[str, Value]) -> bool:
    """A program that lies in memory alone, or whose file is deleted."""
    path = str(values.get("process.file.path", ""))
    return path.startswith(_NO_FILE) or path.endswith(_DELETED)
