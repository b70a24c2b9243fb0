"""Lints of selections and conditions: what is searched for, and how it is put together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import yaml

from tocsin.detect.quality.lint.registry import DETECTIONS, RULES, Issue, Level, at, lint, near
from tocsin.detect.quality.lint.text import Edit, Kind, RuleText, entries, members, type_of, valued
from tocsin.detect.quality.lint.words import Reading, Selector, read

__all__: list[str] = []


def _readings(rule: RuleText) -> list[tuple[yaml.ScalarNode, Reading]]:
    return [(node, read(node.value)) for node in rule.conditions]


@lint("missing-condition", Level.ERROR, "There is no `condition`.", DETECTIONS)
def missing_condition(rule: RuleText) -> Iterator[Issue]:
    if isinstance(rule.body, yaml.MappingNode) and not any(node.value.strip() for node in rule.conditions):
        yield at(rule.body, f"the {rule.kind} has no condition")


@lint("no-selection", Level.ERROR, "There is no selection.", DETECTIONS)
def no_selection(rule: RuleText) -> Iterator[Issue]:
    if isinstance(rule.body, yaml.MappingNode) and not rule.selections:
        yield at(rule.body, f"the {rule.kind} has no selection: nothing to look for")


@lint("empty-selection", Level.ERROR, "A selection is empty.", DETECTIONS)
def empty_selection(rule: RuleText) -> Iterator[Issue]:
    for name, node in rule.selections.items():
        if not valued(node) or node.value in ("", []):
            yield at(rule.selection_keys[name], f"the selection {name} is empty")


@lint(
    "scalar-selection",
    Level.WARNING,
    "A selection is a single value; the specification has maps and lists.",
    DETECTIONS,
    fixes=True,
)
def scalar_selection(rule: RuleText) -> Iterator[Issue]:
    for name, node in rule.selections.items():
        if isinstance(node, yaml.ScalarNode) and valued(node) and node.value:
            start, end = node.start_mark.index, node.end_mark.index
            edits = (Edit(start, end, f"[{rule.text[start:end]}]"),) if node.style in {"'", '"'} else ()
            yield at(node, f"the selection {name} must be a map or a list", *edits)


@lint("mixed-list", Level.WARNING, "A selection's list mixes keywords and maps of fields.", DETECTIONS)
def mixed_list(rule: RuleText) -> Iterator[Issue]:
    for name, node in rule.selections.items():
        kinds = {isinstance(member, yaml.MappingNode) for member in members(node)}
        if len(kinds) > 1:
            yield at(node, f"the selection {name} mixes keywords and fields; give each a selection of its own")


@lint("identical-selections", Level.WARNING, "Two selections say the same.", DETECTIONS)
def identical_selections(rule: RuleText) -> Iterator[Issue]:
    said = {name: _said(node) for name, node in rule.selections.items()}
    for one, other in combinations(said, 2):
        if said[one] == said[other]:
            yield at(rule.selection_keys[other], f"the selection {other} says the same as {one}")


def _said(node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return frozenset((str(key.value), _said(value)) for key, value in entries(node))
    if isinstance(node, yaml.SequenceNode):
        return tuple(_said(member) for member in members(node))
    return (node.tag, node.value)


@lint("timeframe", Level.WARNING, "`timeframe` in a detection is Sigma 1; a correlation says it now.", RULES)
def timeframe(rule: RuleText) -> Iterator[Issue]:
    if "timeframe" in rule.parts:
        yield at(rule.parts["timeframe"], "timeframe does nothing by itself: write a correlation with a timespan")


@lint("aggregation", Level.ERROR, "The condition ends in `| count() ...`, Sigma 1's aggregation.", DETECTIONS)
def aggregation(rule: RuleText) -> Iterator[Issue]:
    for node, reading in _readings(rule):
        if "|" in node.value:
            yield at(
                node, f"'| {reading.aggregation}' is no longer Sigma: write a correlation (event_count, value_count)"
            )


@lint("condition-syntax", Level.ERROR, "The condition cannot be read.", DETECTIONS)
def condition_syntax(rule: RuleText) -> Iterator[Issue]:
    for node, reading in _readings(rule):
        if reading.error and node.value.strip():
            yield at(node, f"the condition cannot be read: {reading.error}")


@lint("condition-case", Level.ERROR, "An operator of the condition is written in capitals.", DETECTIONS, fixes=True)
def condition_case(rule: RuleText) -> Iterator[Issue]:
    for node, reading in _readings(rule):
        shift = node.start_mark.index + (1 if node.style in {"'", '"'} else 0)
        for place, word in reading.upper:
            known = word.lower() not in {"all", "any"} or f"{word} of" in node.value
            if word not in rule.selections and known:
                edit = Edit(shift + place, shift + place + len(word), word.lower())
                plain = rule.text[edit.start : edit.end] == word
                yield at(node, f"{word} must be written {word.lower()}", *((edit,) if plain else ()))


@lint("undefined-selection", Level.ERROR, "The condition names a selection that there is none of.", DETECTIONS)
def undefined_selection(rule: RuleText) -> Iterator[Issue]:
    for node, reading in _readings(rule):
        if reading.error:
            continue
        for name in reading.names:
            if name not in rule.selections:
                meant = near(name, rule.selections)
                yield at(node, f"there is no selection {name}{f'; did you mean {meant}?' if meant else ''}")
        for selector in reading.selectors:
            if not selector.named(list(rule.selections)):
                yield at(node, f"'{selector.count} of {selector.pattern}' names no selection")


@lint("unused-selection", Level.WARNING, "A selection is not used by the condition.", DETECTIONS)
def unused_selection(rule: RuleText) -> Iterator[Issue]:
    readings = _readings(rule)
    if not readings or any(reading.error for _, reading in readings):
        return
    names = list(rule.selections)
    used = {name for _, reading in readings for name in reading.names}
    used |= {name for _, r in readings for selector in r.selectors for name in selector.named(names)}
    for name in names:
        if name not in used:
            yield at(rule.selection_keys[name], f"the selection {name} is not used by the condition")


@lint(
    "them-of-one",
    Level.WARNING,
    "`1 of them` or `all of them` where there is only one selection.",
    DETECTIONS,
    fixes=True,
)
def them_of_one(rule: RuleText) -> Iterator[Issue]:
    for node, reading in _readings(rule):
        for selector in reading.selectors:
            found = selector.named(list(rule.selections))
            if selector.pattern == "them" and len(found) == 1:
                written = f"{selector.count} of them"
                edits = (_rewritten(rule, node, written, found[0]),) if node.value.count(written) == 1 else ()
                yield at(node, f"'{written}' means {found[0]} alone", *(edit for edit in edits if edit))


def _rewritten(rule: RuleText, node: yaml.ScalarNode, old: str, new: str) -> Edit | None:
    """The edit of a part of a condition, if the file says it just so."""
    start = rule.text.find(old, node.start_mark.index, node.end_mark.index)
    return Edit(start, start + len(old), new) if start >= 0 else None


@lint(
    "all-of-them",
    Level.INFO,
    "`all of them` cannot be filtered afterwards; the specification discourages it.",
    DETECTIONS,
)
def all_of_them(rule: RuleText) -> Iterator[Issue]:
    for node, reading in _readings(rule):
        if Selector("all", "them") in reading.selectors:
            yield at(node, "'all of them' leaves no room for a filter; name the selections selection_*")


@lint("only-negation", Level.WARNING, "The condition holds for events of which no selection holds: nearly all.", RULES)
def only_negation(rule: RuleText) -> Iterator[Issue]:
    for node, reading in _readings(rule):
        if reading.only_negated and not reading.error:
            yield at(node, "the condition holds for every event that it does not exclude")


@lint("several-conditions", Level.INFO, "The condition is a list; most tools take one text.", DETECTIONS)
def several_conditions(rule: RuleText) -> Iterator[Issue]:
    node = rule.parts.get("condition")
    if node is not None and type_of(node) == "seq" and rule.kind is Kind.RULE:
        yield at(node, "the condition is a list, of which one must hold; join them with or")
