"""Lints of correlations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.detect.quality.lint.registry import CORRELATIONS, Issue, Level, at, lint, near
from tocsin.detect.quality.lint.text import (
    Edit,
    RuleText,
    entries,
    is_text,
    members,
    replaced,
    scalars,
    type_of,
    valued,
)
from tocsin.model.correlation import Comparison, CorrelationType

__all__: list[str] = []

_TYPES: Final = tuple(CorrelationType)
_OF_VALUES: Final = tuple(name for name in _TYPES if name.startswith("value_"))
_OF_TIME: Final = (CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED)
_OPERATORS: Final = tuple(Comparison)
_KEYS: Final = ("type", "rules", "aliases", "group-by", "timespan", "condition", "generate")
_TIMESPAN: Final = re.compile(r"[1-9]\d*[smhd]", re.ASCII)
_LOOSE_TIMESPAN: Final = re.compile(
    r"([1-9]\d*)\s*([smhd])(?:ec(?:ond)?s?|in(?:ute)?s?|ours?|ays?)?", re.IGNORECASE | re.ASCII
)
_PERCENTILE: Final = "percentile"


def _issue(rule: RuleText, text: str) -> Issue:
    return at(rule.keys["correlation"][0], text)


def _type(rule: RuleText) -> str:
    node = rule.parts.get("type")
    return node.value if isinstance(node, yaml.ScalarNode) else ""


@lint("correlation-not-a-map", Level.ERROR, "`correlation` is no map.", CORRELATIONS)
def correlation_not_a_map(rule: RuleText) -> Iterator[Issue]:
    if not isinstance(rule.body, yaml.MappingNode):
        yield _issue(rule, "correlation must be a map of type, rules, group-by, timespan and condition")


def _required(key: str) -> None:
    @lint(f"missing-correlation-{key}", Level.ERROR, f"A correlation has no `{key}`.", CORRELATIONS)
    def missing(rule: RuleText) -> Iterator[Issue]:
        if isinstance(rule.body, yaml.MappingNode) and not (valued(rule.parts.get(key)) and rule.parts[key].value):
            yield _issue(rule, f"the correlation has no {key}")


for _key in ("type", "rules", "timespan"):
    _required(_key)


@lint("invalid-correlation-type", Level.ERROR, "A correlation's `type` is not known.", CORRELATIONS, fixes=True)
def invalid_correlation_type(rule: RuleText) -> Iterator[Issue]:
    node = rule.parts.get("type")
    if isinstance(node, yaml.ScalarNode) and valued(node) and node.value and node.value not in _TYPES:
        meant = near(node.value, _TYPES)
        yield at(
            node,
            f"the type {node.value!r} is none of {', '.join(_TYPES)}",
            *((replaced(node, meant),) if meant else ()),
        )


@lint("invalid-timespan", Level.ERROR, "`timespan` is no number with s, m, h or d.", CORRELATIONS, fixes=True)
def invalid_timespan(rule: RuleText) -> Iterator[Issue]:
    node = rule.parts.get("timespan")
    if isinstance(node, yaml.ScalarNode) and valued(node) and node.value and not _TIMESPAN.fullmatch(node.value):
        loose = _LOOSE_TIMESPAN.fullmatch(node.value)
        # M is a month to some: only a unit in small letters is certain.
        meant = f"{loose[1]}{loose[2]}" if loose and loose[2].islower() else ""
        yield at(
            node,
            f"timespan {node.value!r} must be a number and s, m, h or d",
            *((replaced(node, meant),) if meant else ()),
        )


@lint(
    "missing-group-by",
    Level.WARNING,
    "A correlation has no `group-by`: events of all hosts and users count together.",
    CORRELATIONS,
)
def missing_group_by(rule: RuleText) -> Iterator[Issue]:
    if isinstance(rule.body, yaml.MappingNode) and not valued(rule.parts.get("group-by")):
        yield _issue(rule, "there is no group-by, which the specification asks for: everything counts together")


@lint(
    "missing-correlation-condition",
    Level.ERROR,
    "A correlation that counts or computes has no `condition`.",
    CORRELATIONS,
)
def missing_correlation_condition(rule: RuleText) -> Iterator[Issue]:
    counts = _type(rule) in _TYPES and _type(rule) not in _OF_TIME
    if counts and not valued(rule.parts.get("condition")):
        yield _issue(rule, f"{_type(rule)} needs a condition, such as gte: 10")


@lint("missing-condition-field", Level.ERROR, "A correlation over values does not say of which `field`.", CORRELATIONS)
def missing_condition_field(rule: RuleText) -> Iterator[Issue]:
    condition = rule.parts.get("condition")
    named = {str(key.value) for key, _ in entries(condition)}
    if _type(rule) in _OF_VALUES and valued(condition) and "field" not in named:
        yield at(rule.parts["condition"], f"{_type(rule)} needs a field in its condition")


@lint(
    "invalid-correlation-condition",
    Level.ERROR,
    "A correlation's `condition` has an operator or value that means nothing.",
    CORRELATIONS,
)
def invalid_correlation_condition(rule: RuleText) -> Iterator[Issue]:
    condition = rule.parts.get("condition")
    if condition is None or not valued(condition):
        return
    if is_text(condition):
        if _type(rule) not in _OF_TIME:
            yield at(condition, f"{_type(rule)} needs a map as its condition, such as gte: 10")
        return
    for key, value in entries(condition):
        if key.value == "field":
            continue
        if key.value not in (*_OPERATORS, _PERCENTILE):
            yield at(key, f"{key.value!r} is none of {', '.join(_OPERATORS)}")
        elif type_of(value) not in {"int", "float"}:
            yield at(value, f"{key.value} needs a number, not {value.value!r}")


@lint("impossible-range", Level.ERROR, "A correlation's limits exclude each other.", CORRELATIONS)
def impossible_range(rule: RuleText) -> Iterator[Issue]:
    limits = {str(key.value): _number(value) for key, value in entries(rule.parts.get("condition"))}
    low = max((limit for name, limit in limits.items() if name in {"gt", "gte"} and limit is not None), default=None)
    high = min((limit for name, limit in limits.items() if name in {"lt", "lte"} and limit is not None), default=None)
    strict = low == high and ("gt" in limits or "lt" in limits)
    if low is not None and high is not None and (low > high or strict):
        yield at(rule.parts["condition"], f"no number is above {low:g} and below {high:g}")


def _number(node: yaml.Node) -> float | None:
    try:
        return float(node.value) if type_of(node) in {"int", "float"} else None
    except ValueError:
        return None


@lint("unknown-correlation-key", Level.ERROR, "A correlation has a key that means nothing.", CORRELATIONS, fixes=True)
def unknown_correlation_key(rule: RuleText) -> Iterator[Issue]:
    for key, _ in entries(rule.body):
        if key.value not in _KEYS:
            meant = near(str(key.value).replace("_", "-"), _KEYS)
            edits = (replaced(key, meant),) if meant and meant not in rule.parts else ()
            yield at(
                key, f"a correlation has no key {key.value!r}{f'; did you mean {meant}?' if meant else ''}", *edits
            )


@lint(
    "correlation-level", Level.WARNING, "`level` or another key of the rule stands inside `correlation`.", CORRELATIONS
)
def correlation_level(rule: RuleText) -> Iterator[Issue]:
    for key, _ in entries(rule.body):
        if key.value in {"level", "title", "status", "tags", "description"}:
            yield at(key, f"{key.value} belongs beside correlation, not into it")


@lint("duplicate-correlated-rule", Level.ERROR, "A correlation names the same rule twice.", CORRELATIONS)
def duplicate_correlated_rule(rule: RuleText) -> Iterator[Issue]:
    seen: set[str] = set()
    for node in scalars(rule.parts.get("rules")):
        if node.value in seen:
            yield at(node, f"the correlation names {node.value} twice")
        seen.add(node.value)


@lint("temporal-of-one", Level.WARNING, "A temporal correlation names one rule: it adds nothing to it.", CORRELATIONS)
def temporal_of_one(rule: RuleText) -> Iterator[Issue]:
    if _type(rule) in _OF_TIME and len(scalars(rule.parts.get("rules"))) == 1:
        yield _issue(rule, f"{_type(rule)} of one rule is that rule; event_count counts it")


def _aliases(rule: RuleText) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    return iter(entries(rule.parts.get("aliases")))


@lint("invalid-aliases", Level.ERROR, "`aliases` is not a map of names to maps of rule and field.", CORRELATIONS)
def invalid_aliases(rule: RuleText) -> Iterator[Issue]:
    node = rule.parts.get("aliases")
    if node is not None and not isinstance(node, yaml.MappingNode):
        yield at(node, "aliases must be a map: alias, then rule: field")
    for key, value in _aliases(rule):
        if not isinstance(value, yaml.MappingNode):
            yield at(key, f"the alias {key.value} must be a map of rule: field")


@lint("unused-alias", Level.WARNING, "An alias is neither in `group-by` nor the counted field.", CORRELATIONS)
def unused_alias(rule: RuleText) -> Iterator[Issue]:
    used = {node.value for node in scalars(rule.parts.get("group-by"))}
    counted = next((value for key, value in entries(rule.parts.get("condition")) if key.value == "field"), None)
    used |= {node.value for node in scalars(counted)}
    for key, _ in _aliases(rule):
        if key.value not in used:
            yield at(key, f"the alias {key.value} is used nowhere")


@lint("alias-of-other-rule", Level.ERROR, "An alias names a rule that the correlation does not.", CORRELATIONS)
def alias_of_other_rule(rule: RuleText) -> Iterator[Issue]:
    known = {node.value for node in scalars(rule.parts.get("rules"))}
    for alias, value in _aliases(rule):
        for key, _ in entries(value):
            if key.value not in known:
                yield at(key, f"the alias {alias.value} names {key.value}, which is none of the correlation's rules")


@lint("rules-not-a-list", Level.ERROR, "A correlation's or filter's `rules` is no list of ids or names.", fixes=True)
def rules_not_a_list(rule: RuleText) -> Iterator[Issue]:
    node = rule.parts.get("rules")
    if rule.kind == "rule" or node is None or not valued(node) or node.value == "any":
        return
    if isinstance(node, yaml.ScalarNode):
        start, end = node.start_mark.index, node.end_mark.index
        yield at(node, "rules must be a list", Edit(start, end, f"[{rule.text[start:end]}]"))
    for member in members(node):
        if not is_text(member):
            yield at(member, "rules must hold ids or names of rules")
