"""Lints of filters."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from tocsin.detect.quality.lint.registry import FILTERS, Issue, Level, at, lint
from tocsin.detect.quality.lint.text import Edit, RuleText, scalars, valued

__all__: list[str] = []


@lint("filter-not-a-map", Level.ERROR, "`filter` is no map.", FILTERS)
def filter_not_a_map(rule: RuleText) -> Iterator[Issue]:
    if not isinstance(rule.body, yaml.MappingNode):
        yield at(rule.keys["filter"][0], "filter must be a map of rules, selections and condition")


@lint("missing-filter-rules", Level.ERROR, "A filter does not say in `rules` what it filters.", FILTERS)
def missing_filter_rules(rule: RuleText) -> Iterator[Issue]:
    node = rule.parts.get("rules")
    if isinstance(rule.body, yaml.MappingNode) and not (valued(node) and scalars(node)):
        yield at(rule.keys["filter"][0], "the filter has no rules: a list of ids or names, or any")


@lint("duplicate-filtered-rule", Level.WARNING, "A filter names the same rule twice.", FILTERS)
def duplicate_filtered_rule(rule: RuleText) -> Iterator[Issue]:
    seen: set[str] = set()
    for node in scalars(rule.parts.get("rules")):
        if node.value in seen:
            yield at(node, f"the filter names {node.value} twice")
        seen.add(node.value)


def _foreign(key: str, why: str) -> None:
    @lint(f"filter-has-{key}", Level.WARNING, f"A filter has `{key}`: {why}.", FILTERS, fixes=True)
    def foreign(rule: RuleText) -> Iterator[Issue]:
        if key in rule.keys:
            node, value = rule.keys[key]
            yield at(node, f"a filter has no {key}: {why}", *_line_removed(rule, node, value))


_foreign("level", "the filtered rules keep their own")
_foreign("status", "the filtered rules keep their own")


def _line_removed(rule: RuleText, key: yaml.Node, value: yaml.Node) -> tuple[Edit, ...]:
    """The edit that takes a line `key: value` away."""
    start = rule.text.rfind("\n", 0, key.start_mark.index) + 1
    end = rule.text.find("\n", value.end_mark.index)
    one_line = key.start_mark.line == value.end_mark.line and key.start_mark.column == 0
    return (Edit(start, end + 1, ""),) if one_line and end >= 0 else ()


@lint("filter-has-detection", Level.ERROR, "A document has both `filter` and `detection`.", FILTERS)
def filter_has_detection(rule: RuleText) -> Iterator[Issue]:
    if "detection" in rule.keys:
        yield at(rule.keys["detection"][0], "a filter has no detection: its selections stand under filter")
