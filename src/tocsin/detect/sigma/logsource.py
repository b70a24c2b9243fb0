"""What Sigma's log sources and field names mean in our events; the mapping itself is data, in content/mappings."""

from __future__ import annotations

import enum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.model.condition import Condition, Exists, Field, Match, Not, Or, Relation, Scope, Text, field_at
from tocsin.model.rule import DEFAULT_GROUP_BY, LogSource
from tocsin.model.schema import attribute

if TYPE_CHECKING:
    from sigma.rule import SigmaRule

__all__ = ["RAW", "Mapping", "Others", "find_mapping", "mappings"]

# What an event of a product that no normaliser knows may have become.
_ANY: Final = (0, 3001, 3002, 3006, 4001, 4002, 4003, 6003)


class Others(enum.StrEnum):
    """What a field is that the mapping does not list."""

    ATTRIBUTE = "attribute"
    RECORD = "record"
    SOURCE = "source"
    RAW = "raw"  # a path in the original, even where the schema has an attribute of that name


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one log source's fields are found in events; see content/mappings/sigma/README.md."""

    classes: tuple[int, ...]
    product: str = ""
    category: str = ""
    service: str = ""
    where: dict[str, tuple[str | None, ...]] = {}
    unless: dict[str, tuple[str, ...]] = {}
    fields: dict[str, tuple[str, ...]] = {}
    values: dict[str, dict[str, str]] = {}
    unfilled: tuple[str, ...] = ()
    others: Others = Others.ATTRIBUTE
    group_by: tuple[str, ...] = DEFAULT_GROUP_BY
    unsourced: bool = False

    def prepared(self, rule: SigmaRule) -> SigmaRule:
        """The rule as its fields are to be resolved; see `pipeline`."""
        return rule

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
        if self.others is Others.RAW:
            return (Field(name, Scope.SOURCE),)
        if name in self.fields:
            return tuple(field_at(path) for path in self.fields[name])
        if "." in name and (attribute(name) or field_at(name).scope is not Scope.ATTRIBUTE):
            return (field_at(name),)
        scopes = {Others.RECORD: Scope.RECORD, Others.SOURCE: Scope.SOURCE, Others.ATTRIBUTE: Scope.ATTRIBUTE}
        return (Field(name, scopes[self.others]),)

    def guards(self) -> tuple[Condition, ...]:
        """What an event must be besides of the right class; cheap, and the same for all rules of the log source."""
        must = [_one_of(path, values) for path, values in self.where.items()]
        return (*must, *(Not(_one_of(path, values)) for path, values in self.unless.items()))


def _one_of(path: str, values: tuple[str | None, ...]) -> Condition:
    return Or(tuple(_accepted(Field(path), value) for value in values))


def _accepted(field: Field, value: str | None) -> Condition:
    if value is None:
        return Not(Match(field, Exists(), f"{field.path}: null"))
    return Match(field, Text(Relation.EQUALS, value, cased=True), f"{field.path}: {value}")


# For events that are JSON in the rules' own terms: every field is a path of the event, whatever the log source.
RAW: Final = Mapping(classes=(0,), others=Others.RAW)


@cache
def mappings() -> tuple[Mapping, ...]:
    """The log sources that have a mapping, in the order in which they are tried."""
    folder = files("tocsin") / "content" / "mappings" / "sigma"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".yml")), key=lambda file: file.name)
    return tuple(mapping for file in found for mapping in _read(file.read_bytes()))


def _read(text: bytes) -> list[Mapping]:
    """The log sources of one file, each with what the file says of all of them."""
    read: _File = msgspec.yaml.decode(text, type=_File)
    return [msgspec.convert(_inherited(read, own), Mapping) for own in read.logsources]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands under `every` holds for each log source that does not say otherwise; maps are joined."""

    logsources: tuple[dict[str, object], ...]
    every: dict[str, object] = {}


def _inherited(read: _File, own: dict[str, object]) -> dict[str, object]:
    joined = {**read.every, **own}
    for key, value in read.every.items():
        given = own.get(key)
        if isinstance(value, dict) and isinstance(given, dict):
            joined[key] = {**value, **given}
    return joined


@cache
def find_mapping(source: LogSource) -> Mapping:
    """The mapping that fits a rule's log source; where none does, the one for originals of such a product.

    A log source without a mapping has no source of its own yet: its fields are paths in the original, and it is only
    looked for in events that name the product, service or category as the log they come from, or name none.
    """
    return next((mapping for mapping in mappings() if mapping.fits(source)), None) or _unsourced(source)


def _unsourced(source: LogSource) -> Mapping:
    names = tuple(dict.fromkeys(name for name in (source.product, source.service, source.category) if name))
    where: dict[str, tuple[str | None, ...]] = {"metadata.log_name": (None, *names)}
    return Mapping(classes=_ANY, where=where, others=Others.SOURCE, unsourced=True)
