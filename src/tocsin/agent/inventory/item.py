"""One thing that a host has: a package, an account, a port that is listened on, a unit, a job, the machine itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.model.event import Event, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLASS_OF", "Item", "event_of"]

# Kind of item -> event class, and the activity that says that it was looked at.
CLASS_OF: Final = {
    "machine": (5001, 2),
    "account": (5003, 2),
    "job": (5010, 1),
    "port": (5012, 1),
    "unit": (5016, 1),
    "package": (5020, 2),
}
_ASKED: Final = frozenset({"job", "port", "unit"})
EXISTS, MISSING = 1, 3


class Item(msgspec.Struct, frozen=True):
    """`key` tells it from others of its kind on this host; `values` are the attributes of its event."""

    kind: str
    key: str
    values: dict[str, Value]


def event_of(item: Item, change: str, now_ms: int, listed: Mapping[str, Value]) -> Event:
    """What tells of an item, as one of a whole list (`listed` names it) or as a change."""
    class_uid, activity_id = CLASS_OF[item.kind]
    values: dict[str, Value] = {
        "time": now_ms,
        "activity_id": activity_id,
        "metadata.log_name": "inventory",
        "metadata.event_code": item.kind,
        "unmapped.inventory.change": change,
        "unmapped.inventory.key": item.key,
        **listed,
        **item.values,
    }
    if item.kind in _ASKED:
        values["query_result_id"] = MISSING if change == "removed" else EXISTS
    return Event(class_uid, values)
