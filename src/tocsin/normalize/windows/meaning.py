"""What an event of a Windows log becomes: class, activity and attributes; read from content/mappings/windows.toml."""

from __future__ import annotations

import pkgutil
import tomllib
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from tocsin.model.event import Value
from tocsin.normalize.windows.shape import Entry
from tocsin.normalize.windows.value import Convert, Derived, converter, derived

__all__ = ["Filling", "Meaning", "meaning_of"]

_ALSO: Final = {"PowerShellCore/Operational": "Microsoft-Windows-PowerShell/Operational"}
_SYSTEM: Final[dict[str, Callable[[Entry], str]]] = {
    "@computer": lambda entry: entry.computer,
    "@channel": lambda entry: entry.channel,
    "@user": lambda entry: entry.user,
    "@pid": lambda entry: entry.pid,
}


class Filling(NamedTuple):
    """How one attribute is filled: the first field that has a value, converted; and what follows from it."""

    path: str
    fields: tuple[str, ...]
    convert: Convert
    derived: tuple[Derived, ...]

    def value(self, entry: Entry) -> Value | None:
        """The attribute's value; None if no field has one."""
        data = entry.data
        for name in self.fields:
            found = data.get(name) if name[0] != "@" else _SYSTEM[name](entry)
            if found is None and "\\" in name:
                found = _joined(data, name)
            if found is None or (found == "" and len(self.fields) > 1):
                continue
            if (value := self.convert(found)) is not None:
                return value
        return None


def _joined(data: dict[str, Any], name: str) -> str | None:
    parts = [data.get(part) for part in name.split("\\")]
    return "\\".join(map(str, parts)) if all(parts) else None


class Meaning(NamedTuple):
    """What an event becomes."""

    class_uid: int
    constants: dict[str, Value]
    fillings: tuple[Filling, ...]
    status_from: str
    when: tuple[tuple[str, frozenset[str]], ...]

    def fits(self, entry: Entry) -> bool:
        """Is the event of the kind that this is for?"""
        return all(entry.data.get(field) in values for field, values in self.when)


_NOTHING: Final = Meaning(0, {"activity_id": 99, "severity_id": 1}, (), "", ())


def meaning_of(entry: Entry) -> Meaning:
    """The first meaning of the event's channel and id that fits; a Base Event if there is none."""
    for meaning in _meanings().get((_ALSO.get(entry.channel, entry.channel), entry.id), ()):
        if not meaning.when or meaning.fits(entry):
            return meaning
    return _NOTHING


@cache
def _meanings() -> dict[tuple[str, str], list[Meaning]]:
    text = (pkgutil.get_data("tocsin", "content/mappings/windows.toml") or b"").decode()
    content = tomllib.loads(text)
    found: dict[tuple[str, str], list[Meaning]] = {}
    for channel, entries in content["channel"].items():
        for entry in entries:
            meaning = _meaning(entry, content["groups"])
            for number in entry["ids"]:
                found.setdefault((channel, str(number)), []).append(meaning)
    return found


def _meaning(entry: dict[str, Any], groups: dict[str, dict[str, Any]]) -> Meaning:
    attributes: dict[str, Any] = {}
    for name in entry.get("use", ()):
        attributes |= groups[name]
    constants: dict[str, Value] = {"activity_id": entry["activity"], "severity_id": 1, **entry.get("set", {})}
    for key, path in (("status", "status_id"), ("message", "message")):
        if key in entry:
            constants[path] = entry[key]
    wanted = {
        path: names for path, names in (attributes | entry.get("attributes", {})).items() if path not in constants
    }
    when = tuple((field, frozenset(values)) for field, values in entry.get("when", {}).items())
    fillings = tuple(_filling(path, names) for path, names in wanted.items())
    return Meaning(entry["class"], constants, fillings, entry.get("status_from", ""), when)


def _filling(path: str, names: str | list[str]) -> Filling:
    fields = (names,) if isinstance(names, str) else tuple(names)
    return Filling(path, fields, converter(path), derived(path))
