"""Lints of fields and their modifiers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.detect.quality.lint.registry import DETECTIONS, Issue, Level, at, lint, near
from tocsin.detect.quality.lint.text import Edit, Item, RuleText, replaced, type_of

__all__: list[str] = []

_PLACES: Final = ("contains", "startswith", "endswith")
_COMPARED: Final = ("lt", "lte", "gt", "gte")
_TIMES: Final = ("minute", "hour", "day", "week", "month", "year")
_FLAGS: Final = ("i", "m", "s", "ignorecase", "multiline", "dotall")
_WIDE: Final = ("wide", "utf16", "utf16le", "utf16be")
_ENCODED: Final = ("base64", "base64offset")
_MODIFIERS: Final = frozenset({
    *_PLACES, *_COMPARED, *_TIMES, *_FLAGS, *_WIDE, *_ENCODED,
    "all", "re", "cidr", "windash", "exists", "cased", "expand", "fieldref", "neq",
})  # fmt: skip

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)

# Of these a field can be tested in one way only.
_WAYS: Final = (*_PLACES, "re", "cidr", "exists")

# How the fields of endpoint events are written, by their names in small letters.
_FIELDS: Final = {
    name.lower(): name
    for name in (
        "CommandLine", "ParentCommandLine", "Image", "ParentImage", "OriginalFileName", "CurrentDirectory",
        "TargetFilename", "TargetObject", "ImageLoaded", "SourceImage", "TargetImage", "DestinationIp",
        "DestinationPort", "DestinationHostname", "SourceIp", "SourcePort", "QueryName", "PipeName",
        "IntegrityLevel", "ParentUser", "ScriptBlockText", "EventID", "LogonType", "GrantedAccess", "CallTrace",
    )
}  # fmt: skip


@lint("unknown-modifier", Level.ERROR, "A modifier is none of the specification's.", DETECTIONS, fixes=True)
def unknown_modifier(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        for modifier in item.modifiers:
            if modifier not in _MODIFIERS:
                meant = near(modifier, _MODIFIERS)
                edits = (item.with_key(item.field, _swapped(item, modifier, meant)),) if meant else ()
                yield at(
                    item.key, f"there is no modifier {modifier!r}{f'; did you mean {meant}?' if meant else ''}", *edits
                )


def _swapped(item: Item, old: str, new: str) -> tuple[str, ...]:
    return tuple(new if each == old else each for each in item.modifiers)


def _without(item: Item, modifier: str) -> tuple[str, ...]:
    return tuple(each for each in item.modifiers if each != modifier)


@lint("modifier-twice", Level.WARNING, "A field has the same modifier twice.", DETECTIONS, fixes=True)
def modifier_twice(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        once = tuple(dict.fromkeys(item.modifiers))
        if once != item.modifiers:
            yield at(item.key, f"{item.key.value} has a modifier twice", item.with_key(item.field, once))


@lint(
    "conflicting-modifiers",
    Level.ERROR,
    "Modifiers of a field exclude each other, such as `re` and `contains`.",
    DETECTIONS,
)
def conflicting_modifiers(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        ways = [modifier for modifier in dict.fromkeys(item.modifiers) if modifier in _WAYS]
        limits = [modifier for modifier in dict.fromkeys(item.modifiers) if modifier in _COMPARED]
        if len(ways) > 1 or len(limits) > 1 or (ways and limits):
            both = " and ".join([*ways, *limits])
            yield at(item.key, f"{item.field} cannot be tested by {both} at once")


@lint("regex-flag-alone", Level.ERROR, "A flag of regular expressions (`i`, `m`, `s`) stands without `re`.", DETECTIONS)
def regex_flag_alone(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        flags = [each for each in item.modifiers if each in _FLAGS]
        if flags and "re" not in item.modifiers[: item.modifiers.index(flags[0])]:
            yield at(item.key, f"|{flags[0]} is a flag of |re, which does not stand before it")


@lint(
    "all-of-one", Level.WARNING, "`|all` with a single value, which the specification forbids.", DETECTIONS, fixes=True
)
def all_of_one(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if "all" in item.modifiers and len(item.values) == 1 and item.field:
            mended = item.with_key(item.field, _without(item, "all"))
            yield at(item.key, f"{item.key.value}: all of a single value", mended)


@lint("all-equal", Level.WARNING, "`|all` of values that a field would have to equal all at once.", DETECTIONS)
def all_equal(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        partly = item.modified_by(*_PLACES, "re", "neq", "cidr", "expand", *_COMPARED)
        wild = any("*" in str(value.value) for value in item.values)
        if "all" in item.modifiers and item.field and not partly and not wild and len(item.values) > 1:
            yield at(item.key, f"{item.field} cannot equal all of these at once; |contains|all was likely meant")


@lint("windash-with-all", Level.INFO, "`|windash` with `|all`: some tools ask for every form at once.", DETECTIONS)
def windash_with_all(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if item.modified_by("windash") and item.modified_by("all"):
            yield at(item.key, "with |all, some tools want every dash and slash at once; a selection per value is safe")


@lint(
    "base64offset-alone",
    Level.WARNING,
    "`|base64offset` without `|contains` finds nothing inside a longer text.",
    DETECTIONS,
    fixes=True,
)
def base64offset_alone(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if "base64offset" in item.modifiers and not item.modified_by(*_PLACES):
            mended = item.with_key(item.field, (*item.modifiers, "contains"))
            yield at(item.key, "an encoded part is found only inside: |base64offset|contains", mended)


@lint(
    "encoding-order",
    Level.ERROR,
    "A value is encoded after its wildcards were added: modifiers apply in order.",
    DETECTIONS,
    fixes=True,
)
def encoding_order(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        encoders = [each for each in item.modifiers if each in (*_WIDE, *_ENCODED)]
        places = [each for each in item.modifiers if each in _PLACES]
        if encoders and places and item.modifiers.index(places[0]) < item.modifiers.index(encoders[-1]):
            rest = tuple(each for each in item.modifiers if each not in {*encoders, *places})
            mended = item.with_key(item.field, (*encoders, *places, *rest))
            yield at(
                item.key, f"|{places[0]} stands before |{encoders[-1]}: the encoding would have to come first", mended
            )


@lint(
    "utf16-alone",
    Level.WARNING,
    "`|wide` or another UTF-16 modifier without `|base64` or `|base64offset` after it.",
    DETECTIONS,
)
def utf16_alone(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if item.modified_by(*_WIDE) and not item.modified_by(*_ENCODED):
            yield at(item.key, "no field holds UTF-16: it is meant to be encoded further, with |base64offset")


@lint("exists-value", Level.ERROR, "`|exists` has a value that is neither true nor false.", DETECTIONS)
def exists_value(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if "exists" in item.modifiers and [type_of(value) for value in item.values] != ["bool"]:
            yield at(item.value, "|exists needs true or false")


@lint(
    "number-value",
    Level.ERROR,
    "`|lt`, `|lte`, `|gt`, `|gte`, `|hour` and the like with something that is no number.",
    DETECTIONS,
)
def number_value(rule: RuleText) -> Iterator[Issue]:
    for item, value in _no_numbers(rule):
        if not _NUMBER.fullmatch(str(value.value)):
            yield at(value, f"{item.key.value} needs a number, not {str(value.value)!r}")


@lint(
    "quoted-number",
    Level.WARNING,
    "A number that is compared stands in quotes: taken here, but by the specification it is a text.",
    DETECTIONS,
    fixes=True,
)
def quoted_number(rule: RuleText) -> Iterator[Issue]:
    for item, value in _no_numbers(rule):
        if _NUMBER.fullmatch(said := str(value.value)):
            plain = Edit(value.start_mark.index, value.end_mark.index, said)
            yield at(
                value, f"{item.key.value}: the number {said} is quoted; the specification writes numbers plain", plain
            )


def _no_numbers(rule: RuleText) -> Iterator[tuple[Item, yaml.Node]]:
    """Values that are no numbers where the specification wants some."""
    for item in rule.items:
        if item.modified_by(*_COMPARED, *_TIMES) and not item.modified_by("fieldref"):
            yield from ((item, value) for value in item.values if type_of(value) not in {"int", "float"})


@lint(
    "text-value",
    Level.WARNING,
    "A modifier of texts (`|re`, `|windash`, `|base64`, `|wide`) with a number: the specification has it for texts.",
    DETECTIONS,
    fixes=True,
)
def text_value(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        for value in item.values if item.modified_by("re", "windash", *_WIDE, *_ENCODED) else ():
            if type_of(value) in {"int", "float"}:
                quoted = Edit(value.start_mark.index, value.end_mark.index, f"'{value.value}'")
                yield at(value, f"{item.key.value}: {value.value} is no text unless in quotes", quoted)


@lint("cidr-value", Level.ERROR, "`|cidr` with something that is no network.", DETECTIONS, fixes=True)
def cidr_value(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        for value in item.values if "cidr" in item.modifiers else ():
            try:
                ipaddress.ip_network(str(value.value))
            except ValueError as error:
                mended = _network(str(value.value))
                yield at(
                    value, f"{value.value!r} is no network: {error}", *((replaced(value, mended),) if mended else ())
                )


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""


@lint("fieldref-to-itself", Level.WARNING, "`|fieldref` names the field itself.", DETECTIONS)
def fieldref_to_itself(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if "fieldref" in item.modifiers and any(value.value == item.field for value in item.values):
            yield at(item.key, f"{item.field} is compared with itself")


@lint("expand-without-placeholder", Level.WARNING, "`|expand` with a value that has no `%placeholder%`.", DETECTIONS)
def expand_without_placeholder(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        for value in item.values if "expand" in item.modifiers else ():
            if not re.search(r"(?<!\\)%[^%]+%", str(value.value)):
                yield at(value, f"there is no %placeholder% in {str(value.value)!r} to expand")


@lint("field-space", Level.WARNING, "A field's name has spaces, which the specification takes out.", DETECTIONS)
def field_space(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if item.field != item.field.strip() or (item.field and " " in item.field and not item.field.startswith('"')):
            yield at(item.key, f"the field {item.field!r} has spaces in its name")


@lint(
    "field-case",
    Level.WARNING,
    "A well-known field is written with other capitals: `Commandline`.",
    DETECTIONS,
    fixes=True,
)
def field_case(rule: RuleText) -> Iterator[Issue]:
    product = next((value.value for key, value in _logsource(rule) if key.value == "product"), "")
    for item in rule.items:
        known = _FIELDS.get(item.field.lower())
        if known and known != item.field and product == "windows":
            yield at(item.key, f"{item.field} is written {known}", item.with_key(known, item.modifiers))


def _logsource(rule: RuleText) -> list[tuple[yaml.Node, yaml.Node]]:
    node = rule.get("logsource")
    return list(node.value) if isinstance(node, yaml.MappingNode) else []
