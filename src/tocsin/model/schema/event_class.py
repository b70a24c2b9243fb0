"""What an event class is."""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.model.schema.attribute import Attribute
from tocsin.model.schema.shared import BASE

__all__ = ["EventClass"]


@dataclass(frozen=True, slots=True)
class EventClass:
    """An OCSF event class and the attributes Tocsin fills in it, in column order."""

    uid: int
    name: str
    caption: str
    category_uid: int
    category: str
    activities: dict[int, str]
    own: tuple[Attribute, ...]
    extension: str = ""  # the OCSF extension that declares it: win
    attributes: tuple[Attribute, ...] = field(init=False)
    paths: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", BASE + self.own)
        object.__setattr__(self, "paths", frozenset(a.path for a in self.attributes))

    def type_uid(self, activity_id: int) -> int:
        """The event type: class and activity in one number."""
        return self.uid * 100 + activity_id
