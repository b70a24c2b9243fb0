"""What filters may name although no source fills it: it follows from an event's class and activity."""

from __future__ import annotations

from collections.abc import Callable

from tocsin.model.schema import CLASSES, EventClass

__all__ = ["FOLLOWING", "following_text"]

FOLLOWING: dict[str, Callable[[EventClass, int], str]] = {
    "class_uid": lambda event_class, _: str(event_class.uid),
    "class_name": lambda event_class, _: event_class.caption,
    "type_uid": lambda event_class, activity: str(event_class.type_uid(activity)),
    "activity_name": lambda event_class, activity: event_class.activities.get(activity, "Other"),
}


def following_text(path: str, class_uid: int, activity_id: int) -> str:
    """The text at one of these paths, as exports and the lake have it."""
    return FOLLOWING[path](CLASSES[class_uid], activity_id)
