"""The event schema, declared once: OCSF 1.8.0 classes and, per class, the attributes that Tocsin fills.

Everything else that knows attributes derives from this folder: the wire's columns, the Arrow and Iceberg schemas, the
Sigma mapping's check, search completion and docs/schema.md. Plain Python, since the agent reads it too.

An attribute is named by its dotted path. In memory and on the wire an event is flat (path -> value); nesting happens
at the edge, in `model.event.nest`. What follows from class and activity alone (`class_uid`, `type_uid`, `category_uid`,
the captions) is never carried: `model.event` and `columnar` derive it.
"""

from __future__ import annotations

from tocsin.model.schema.application import APPLICATION
from tocsin.model.schema.attribute import Attribute, Kind
from tocsin.model.schema.discovery import DISCOVERY
from tocsin.model.schema.event_class import EventClass
from tocsin.model.schema.identity import IDENTITY
from tocsin.model.schema.network import NETWORK
from tocsin.model.schema.shared import BASE
from tocsin.model.schema.system import SYSTEM
from tocsin.model.schema.windows import WINDOWS

__all__ = ["BASE", "CLASSES", "OCSF_VERSION", "RECORDS", "Attribute", "EventClass", "Kind", "attribute", "by_name"]

OCSF_VERSION = "1.8.0"
RECORDS = "unmapped.audit.records"

_ALL = (*SYSTEM, *IDENTITY, *NETWORK, *DISCOVERY, *APPLICATION, *WINDOWS)

CLASSES: dict[int, EventClass] = {c.uid: c for c in _ALL}
_BY_NAME = {c.name: c for c in _ALL}
_ATTRIBUTES = {a.path: a for c in _ALL for a in c.attributes}


def by_name(name: str) -> EventClass:
    """The class of that OCSF name.

    Raises:
        KeyError: no such class.
    """
    return _BY_NAME[name]


def attribute(path: str) -> Attribute | None:
    """The attribute at a dotted path in any class; one path means the same wherever it occurs."""
    return _ATTRIBUTES.get(path)
