"""Lints of values: wildcards, backslashes, spaces, and values that others cover."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import yaml

from tocsin.detect.quality.lint.registry import DETECTIONS, Issue, Level, at, lint
from tocsin.detect.quality.lint.text import Edit, Item, RuleText, is_text, replaced, scalars

__all__: list[str] = []

_NO_PATTERN: Final = ("re", "cidr", "exists", "fieldref", "lt", "lte", "gt", "gte")
_PLACES: Final = ("contains", "startswith", "endswith")
_MOST_COMPARED: Final = 300  # longer lists of indicators are not searched for values that cover others


class _Sign(NamedTuple):
    """One character of a pattern, and whether it is a wildcard or had a backslash before it."""

    text: str
    wild: bool
    escaped: bool


def _signs(value: str) -> list[_Sign]:
    signs: list[_Sign] = []
    place = 0
    while place < len(value):
        here, after = value[place], value[place + 1 : place + 2]
        escapes = here == "\\" and after in {"*", "?", "\\"} and after != ""
        signs.append(_Sign(after if escapes else here, here in "*?", escapes))
        place += 2 if escapes else 1
    return signs


def _texts(rule: RuleText) -> Iterator[tuple[Item, yaml.ScalarNode]]:
    """The values that are patterns."""
    for item in rule.items:
        if not item.modified_by(*_NO_PATTERN):
            yield from ((item, value) for value in item.values if isinstance(value, yaml.ScalarNode) and is_text(value))


@lint(
    "wildcard-only",
    Level.WARNING,
    "A value is nothing but a wildcard: whether the field exists is said by `|exists`.",
    DETECTIONS,
    fixes=True,
)
def wildcard_only(rule: RuleText) -> Iterator[Issue]:
    for item, value in _texts(rule):
        if value.value and set(value.value) == {"*"} and item.field:
            edits: tuple[Edit, ...] = ()
            if not item.modifiers and item.value is value:
                place = Edit(value.start_mark.index, value.end_mark.index, "true")
                edits = (item.with_key(item.field, ("exists",)), place)
            yield at(value, f"{item.key.value} is anything at all; |exists: true says that it is there", *edits)


@lint(
    "matches-everything",
    Level.WARNING,
    "An empty text with `contains`, `startswith` or `endswith` is found in every value.",
    DETECTIONS,
)
def matches_everything(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        for value in scalars(item.value) if item.modified_by(*_PLACES, "re") else ():
            if is_text(value) and value.value == "":
                yield at(value, f"{item.key.value} holds for every value: an empty text is in all of them")


@lint("double-wildcard", Level.WARNING, "Two `*` stand side by side and mean one.", DETECTIONS, fixes=True)
def double_wildcard(rule: RuleText) -> Iterator[Issue]:
    for _, value in _texts(rule):
        if re.search(r"(?<!\\)\*\*", value.value) and set(value.value) != {"*"}:
            yield at(value, "** means the same as *", replaced(value, re.sub(r"(?<!\\)\*{2,}", "*", value.value)))


@lint(
    "wildcard-for-modifier",
    Level.INFO,
    "A `*` at an end says what `contains`, `startswith` or `endswith` says more clearly.",
    DETECTIONS,
    fixes=True,
)
def wildcard_for_modifier(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        ways = {_way(value) for value in item.values}
        way = next(iter(ways)) if len(ways) == 1 else ""
        if way and item.field and not item.modifiers:
            stripped = [
                _stripped(value, front=way != "startswith", back=way != "endswith") for value in scalars(item.value)
            ]
            edits = (item.with_key(item.field, (way,)), *stripped)
            yield at(item.key, f"{item.field}|{way} says the same without wildcards", *edits)


def _way(value: yaml.Node) -> str:
    """The modifier that says what wildcards at the ends of a quoted value say; empty if none does."""
    if not isinstance(value, yaml.ScalarNode) or not is_text(value) or value.style not in {"'", '"'}:
        return ""
    signs = _signs(value.value)
    front, back = signs[:1] == [_ANY], signs[-1:] == [_ANY]
    inner = signs[front : len(signs) - back]
    if not inner or any(sign.wild for sign in inner) or not (front or back):
        return ""
    return "contains" if front and back else "endswith" if front else "startswith"


_ANY: Final = _Sign("*", wild=True, escaped=False)


def _stripped(value: yaml.ScalarNode, *, front: bool, back: bool) -> Edit:
    text = value.value
    return _requoted(value, text[front : len(text) - back])


def _requoted(value: yaml.ScalarNode, text: str) -> Edit:
    """Like `replaced`, for a text that may end in a backslash within double quotes."""
    if value.style == '"':
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return Edit(value.start_mark.index, value.end_mark.index, f'"{escaped}"')
    return replaced(value, text)


@lint(
    "wildcard-beside-modifier",
    Level.WARNING,
    "A `*` stands where the modifier already allows anything.",
    DETECTIONS,
    fixes=True,
)
def wildcard_beside_modifier(rule: RuleText) -> Iterator[Issue]:
    for item, value in _texts(rule):
        signs = _signs(value.value) if "*" in value.value and item.modified_by(*_PLACES) else []
        front = item.modified_by("contains", "endswith") and signs[:1] == [_ANY]
        back = item.modified_by("contains", "startswith") and signs[-1:] == [_ANY]
        if (front or back) and len(signs) > front + back:
            quoted = value.style in {"'", '"'}
            edits = (_stripped(value, front=front, back=back),) if quoted else ()
            yield at(value, f"{item.key.value}: the * at the end of {value.value!r} changes nothing", *edits)


@lint(
    "escaped-wildcard",
    Level.WARNING,
    "`\\*` in a path means the character `*`, where a folder of any name was likely meant.",
    DETECTIONS,
)
def escaped_wildcard(rule: RuleText) -> Iterator[Issue]:
    for _, value in _texts(rule):
        signs = _signs(value.value) if "\\*" in value.value else []
        backslashes = sum(sign.text == "\\" for sign in signs)
        for before, sign, after in zip(signs, signs[1:], signs[2:], strict=False):
            if sign.escaped and sign.text == "*" and backslashes and after.text == "\\" and before.text.isalnum():
                yield at(value, rf"in {value.value!r} \* is the character *; a folder of any name is \\*")
                break


@lint(
    "single-backslash-at-start",
    Level.WARNING,
    "A value begins with `\\\\`, which means one backslash; a network path needs four.",
    DETECTIONS,
)
def single_backslash_at_start(rule: RuleText) -> Iterator[Issue]:
    for item, value in _texts(rule):
        if re.match(r"\\\\[^\\*?]", value.value) and not item.modified_by("endswith", "contains", "expand"):
            yield at(value, rf"{value.value!r} begins with one backslash; a network path is written \\\\server")


@lint(
    "double-backslash", Level.INFO, "`\\\\` means one backslash; the specification recommends to write one.", DETECTIONS
)
def double_backslash(rule: RuleText) -> Iterator[Issue]:
    for _, value in _texts(rule):
        if re.search(r"(?<!\\)\\\\(?![\\*?]|$)", value.value) and not value.value.startswith("\\\\"):
            yield at(value, rf"\\ in {value.value!r} means one backslash; write one")


@lint("control-character", Level.WARNING, "A value holds a control character.", DETECTIONS)
def control_character(rule: RuleText) -> Iterator[Issue]:
    for _, value in _texts(rule):
        found = next((sign for sign in value.value if ord(sign) < ord(" ") and sign not in "\t\n\r"), "")
        if found:
            yield at(value, f"a value holds the control character {found!r}; was a backslash in double quotes meant?")


@lint("outer-space", Level.INFO, "A value that must be equal, or stand at an end, has spaces there.", DETECTIONS)
def outer_space(rule: RuleText) -> Iterator[Issue]:
    for item, value in _texts(rule):
        start = item.modified_by("startswith") or not item.modified_by("contains", "endswith")
        end = item.modified_by("endswith") or not item.modified_by("contains", "startswith")
        text = value.value
        odd = (start and text[:1] == " ") or (end and text[-1:] == " ")
        if odd and text.strip() and item.field and not item.modified_by("base64offset", "base64"):
            yield at(value, f"{text!r} has spaces at an end that the value must have too")


@lint(
    "number-as-text",
    Level.INFO,
    "A number is quoted: it equals only that text, `0777` no longer equals `777`.",
    DETECTIONS,
)
def number_as_text(rule: RuleText) -> Iterator[Issue]:
    for item, value in _texts(rule):
        if re.fullmatch(r"[0-9]{1,18}", value.value, re.ASCII) and not item.modifiers and item.field:
            yield at(value, f"{item.field}: the number {value.value} is quoted; the specification writes numbers plain")


@lint("covered-value", Level.INFO, "A value of a list is found wherever another of its values is.", DETECTIONS)
def covered_value(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        way = next((modifier for modifier in item.modifiers if modifier in _PLACES), "")
        if not way or set(item.modifiers) - {way, "windash"} or not 1 < len(item.values) <= _MOST_COMPARED:
            continue
        folded = {value.value.casefold(): value for value in scalars(item.value) if is_text(value) and value.value}
        for text, value in folded.items():
            cover = next((other for other in folded if other != text and _covers(way, other, text)), None)
            if cover is not None:
                yield at(value, f"{value.value!r} is found already by {folded[cover].value!r}")


def _covers(way: str, short: str, long: str) -> bool:
    if "*" in short or "?" in short:
        return False
    return short in long if way == "contains" else getattr(long, way)(short)
