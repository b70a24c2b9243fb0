"""MISP warning lists: values that are harmless, though feeds may list them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tocsin.intel.indicator import Kind
from tocsin.intel.read.misp import KINDS
from tocsin.model.errors import InvalidFeed

__all__ = ["TYPES", "WarningList", "read_warning_list"]

TYPES: Final = ("string", "cidr", "hostname", "substring", "regex")


class WarningList(msgspec.Struct, frozen=True):
    """A warning list as its file says it: entries of one type, for indicators of some kinds."""

    name: str
    type: str
    entries: tuple[str, ...]
    kinds: frozenset[Kind]  # that it applies to


def read_warning_list(content: bytes) -> WarningList:
    """The list in a `list.json`.

    Raises:
        InvalidFeed: not JSON, or not such a list.
    """
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFeed(f"not JSON: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("list"), list):
        raise InvalidFeed("no MISP warning list: it has no list")
    kind = found.get("type", "string")
    if kind not in TYPES:
        raise InvalidFeed(f"a warning list of type {kind!r} is not known; known are {', '.join(TYPES)}")
    entries = tuple(str(each) for each in found["list"])
    return WarningList(str(found.get("name", "")), kind, entries, _kinds(found.get("matching_attributes") or []))


def _kinds(attributes: list[Any]) -> frozenset[Kind]:
    """All kinds where the list does not say."""
    parts = {part for attribute in attributes for part in str(attribute).split("|")}
    kinds = {KINDS[part] for part in parts if part in KINDS}
    if Kind.IP in kinds:
        kinds.add(Kind.CIDR)
    return frozenset(kinds) if attributes else frozenset(Kind)
