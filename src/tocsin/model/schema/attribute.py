"""What an attribute of an event is, and short ways to declare one."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Attribute", "Kind", "boolean", "integer", "json", "text", "timestamp"]


class Kind(enum.StrEnum):
    """How a value looks in memory and on the wire."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # integer, milliseconds since the epoch, UTC
    JSON = "json"  # a string holding a JSON object or array; nested in exports


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an event: its dotted path, how its value looks, what it means."""

    path: str
    kind: Kind
    meaning: str
    unit: str = ""


def text(path: str, meaning: str) -> Attribute:
    return Attribute(path, Kind.STRING, meaning)


def integer(path: str, meaning: str, unit: str = "") -> Attribute:
    return Attribute(path, Kind.INTEGER, meaning, unit)


def timestamp(path: str, meaning: str) -> Attribute:
    return Attribute(path, Kind.TIMESTAMP, meaning, "ms")


def boolean(path: str, meaning: str) -> Attribute:
    return Attribute(path, Kind.BOOLEAN, meaning)


def json(path: str, meaning: str) -> Attribute:
    return Attribute(path, Kind.JSON, meaning)
