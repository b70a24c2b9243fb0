"""Lints of lists of values, and of null among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.detect.quality.lint.registry import DETECTIONS, Issue, Level, at, lint
from tocsin.detect.quality.lint.text import Edit, Item, RuleText, removed, type_of

__all__: list[str] = []

_PLACES: Final = ("contains", "startswith", "endswith")
_COMPARED: Final = ("lt", "lte", "gt", "gte")
_ENCODED: Final = ("base64", "base64offset")


@lint("empty-list", Level.ERROR, "A field has an empty list of values.", DETECTIONS)
def empty_list(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if isinstance(item.value, yaml.SequenceNode) and not item.values:
            yield at(item.key, f"{item.key.value} has no values")


@lint("nested-value", Level.ERROR, "A field's value is a map or a list within a list.", DETECTIONS)
def nested_value(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        for value in item.values:
            if not isinstance(value, yaml.ScalarNode):
                yield at(value, f"{item.key.value or 'a keyword'} must be a value or a list of values, nothing deeper")


@lint(
    "null-in-list",
    Level.WARNING,
    "`null` stands in a list of values; the specification wants a selection of its own.",
    DETECTIONS,
)
def null_in_list(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        for value in item.values if len(item.values) > 1 else ():
            if type_of(value) == "null":
                yield at(value, f"null cannot be one of several values of {item.field}; give it a selection of its own")


@lint("null-with-modifier", Level.ERROR, "`null` with a modifier that needs a text.", DETECTIONS)
def null_with_modifier(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        for value in item.values if item.modified_by(*_PLACES, "re", "cidr", *_ENCODED, *_COMPARED, "fieldref") else ():
            if type_of(value) == "null":
                yield at(value, f"{item.key.value} needs a value, not null")


@lint(
    "single-item-list",
    Level.INFO,
    "A list of one value, which SigmaHQ writes on the same line.",
    DETECTIONS,
    fixes=True,
)
def single_item_list(rule: RuleText) -> Iterator[Issue]:
    for item in rule.items:
        if isinstance(item.value, yaml.SequenceNode) and len(item.values) == 1 and item.field:
            yield at(item.value, f"{item.key.value} has one value: write it without a list", *_inlined(rule, item))


def _inlined(rule: RuleText, item: Item) -> tuple[Edit, ...]:
    value = item.values[0]
    between = rule.text[item.key.end_mark.index : value.start_mark.index]
    if between.strip(" \n:") != "-" or not isinstance(value, yaml.ScalarNode) or value.style in {"|", ">"}:
        return ()
    return (Edit(item.key.end_mark.index, value.start_mark.index, ": "),)


@lint("duplicate-value", Level.WARNING, "A list of values has the same one twice.", DETECTIONS, fixes=True)
def duplicate_value(rule: RuleText) -> Iterator[Issue]:
    for values in _value_lists(rule):
        seen: set[tuple[str, str]] = set()
        for value in values:
            said = (value.tag, value.value)
            if said in seen:
                yield at(value, f"{value.value!r} stands twice in the list", *removed(rule, value))
            seen.add(said)


@lint(
    "case-duplicate",
    Level.WARNING,
    "A list has the same value twice but for capitals, which do not matter.",
    DETECTIONS,
    fixes=True,
)
def case_duplicate(rule: RuleText) -> Iterator[Issue]:
    for values in _value_lists(rule, uncased=True):
        seen: dict[str, str] = {}
        for value in values:
            first = seen.setdefault(value.value.casefold(), value.value)
            if first != value.value:
                yield at(
                    value, f"{value.value!r} is {first!r} but for capitals, which do not matter", *removed(rule, value)
                )


def _value_lists(rule: RuleText, *, uncased: bool = False) -> Iterator[list[yaml.ScalarNode]]:
    """The values of each field, and the keywords of each selection's list."""
    keywords: dict[str, list[yaml.ScalarNode]] = {}
    for item in rule.items:
        if uncased and item.modified_by("cased", "re", *_ENCODED, "fieldref"):
            continue
        values = [value for value in item.values if isinstance(value, yaml.ScalarNode)]
        if item.field or item.modifiers:
            yield values
        else:
            keywords.setdefault(item.selection, []).extend(values)
    yield from keywords.values()
