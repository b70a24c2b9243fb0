"""What Sigma's log sources and field names mean in our events; the mapping itself is data, in content/mappings."""

from __future__ import annotations

import enum
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from tocsin.model.condition import Field, Scope, field_at
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import DEFAULT_GROUP_BY, LogSource
from tocsin.model.schema import attribute

__all__ = ["RAW", "Mapping", "Others", "find_mapping"]


class Others(enum.StrEnum):
    """What a field is that the mapping does not list."""

    ATTRIBUTE = "attribute"
    RECORD = "record"
    SOURCE = "source"


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one log source's fields are found in events; see content/mappings/sigma.yml."""

    classes: tuple[int, ...]
    product: str = ""
    category: str = ""
    service: str = ""
    where: dict[str, tuple[str, ...]] = {}
    fields: dict[str, tuple[str, ...]] = {}
    values: dict[str, dict[str, str]] = {}
    unfilled: tuple[str, ...] = ()
    others: Others = Others.ATTRIBUTE
    group_by: tuple[str, ...] = DEFAULT_GROUP_BY

    def fits(self, source: LogSource) -> bool:
        """Does a rule for that log source mean this one?"""
        if self.product != source.product or (self.service and self.service != source.service):
            return False
        if self.category:
            return self.category == source.category
        # A category narrows; only a service says enough without it (kubernetes has category "application").
        return bool(self.service) or not (source.category or source.service)

    def resolve(self, name: str) -> tuple[Field, ...]:
        """The fields of which one must match where a rule names this one."""
        if name in self.fields:
            return tuple(field_at(path) for path in self.fields[name])
        if "." in name and (attribute(name) or field_at(name).scope is not Scope.ATTRIBUTE):
            return (field_at(name),)
        scopes = {Others.RECORD: Scope.RECORD, Others.SOURCE: Scope.SOURCE, Others.ATTRIBUTE: Scope.ATTRIBUTE}
        return (Field(name, scopes[self.others]),)


# For events that are JSON in the rules' own terms: every field is a path of the event, whatever the log source.
RAW: Final = Mapping(classes=(0,), others=Others.SOURCE)


@cache
def _mappings() -> tuple[Mapping, ...]:
    text = (files("tocsin") / "content" / "mappings" / "sigma.yml").read_bytes()
    return msgspec.yaml.decode(text, type=tuple[Mapping, ...])


def find_mapping(source: LogSource) -> Mapping:
    """The mapping that fits a rule's log source.

    Raises:
        InvalidRule: none does.
    """
    for mapping in _mappings():
        if mapping.fits(source):
            return mapping
    raise InvalidRule(f"logsource {source} has no mapping to events")
