"""Lints of all rules together: what they call each other, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

import yaml

from tocsin.detect.quality.lint.registry import Issue, Level, across, at
from tocsin.detect.quality.lint.text import Kind, RuleText, scalars

__all__: list[str] = []

Found = Iterator[tuple[RuleText, Issue]]


def _shared(rules: list[RuleText], of: Callable[[RuleText], Hashable]) -> Iterator[tuple[RuleText, RuleText]]:
    """Each rule that shares something with an earlier one, and the earliest."""
    first: dict[Hashable, RuleText] = {}
    for rule in rules:
        key = of(rule)
        if key and first.setdefault(key, rule) is not rule:
            yield rule, first[key]


def _place(rule: RuleText) -> str:
    return f"{rule.path}:{rule.line}"


@across("duplicate-id", Level.ERROR, "Two rules have the same `id`.")
def duplicate_id(rules: list[RuleText]) -> Found:
    for rule, first in _shared(rules, lambda rule: rule.said("id")):
        yield rule, at(rule.keys["id"][1], f"the id {rule.said('id')} is also that of {_place(first)}")


@across("duplicate-name", Level.ERROR, "Two rules have the same `name`, by which correlations refer to them.")
def duplicate_name(rules: list[RuleText]) -> Found:
    for rule, first in _shared(rules, lambda rule: rule.said("name")):
        yield rule, at(rule.keys["name"][1], f"the name {rule.said('name')} is also that of {_place(first)}")


@across("duplicate-title", Level.WARNING, "Two rules have the same title.")
def duplicate_title(rules: list[RuleText]) -> Found:
    for rule, first in _shared(rules, lambda rule: rule.said("title").casefold()):
        yield rule, at(rule.keys["title"][1], f"the title is also that of {_place(first)}")


@across("duplicate-file-name", Level.INFO, "Two files in different folders have the same name.")
def duplicate_file_name(rules: list[RuleText]) -> Found:
    firsts = list({rule.path: rule for rule in reversed(rules)}.values())
    for rule, first in _shared(list(reversed(firsts)), lambda rule: rule.path.name):
        yield rule, Issue(1, f"another file is called so: {first.path}")


@across("duplicate-detection", Level.WARNING, "Two rules of the same log source look for the very same.")
def duplicate_detection(rules: list[RuleText]) -> Found:
    detections = [
        rule for rule in rules if rule.kind is Kind.RULE and rule.selections and "timeframe" not in rule.parts
    ]
    for rule, first in _shared(detections, lambda rule: (_said(rule.get("logsource")), _said(rule.body))):
        yield rule, at(rule.keys["detection"][0], f"the detection is the very one of {_place(first)}")


def _said(node: yaml.Node | None) -> Hashable:
    if isinstance(node, yaml.MappingNode):
        told = (pair for pair in node.value if pair[0].value != "definition")
        return frozenset((str(key.value), _said(value)) for key, value in told)
    if isinstance(node, yaml.SequenceNode):
        return tuple(_said(member) for member in node.value)
    return node.value if isinstance(node, yaml.ScalarNode) else None


@across(
    "unknown-rule", Level.WARNING, "A correlation or filter names a rule that is not among those that were looked at."
)
def unknown_rule(rules: list[RuleText]) -> Found:
    known = {rule.said(key) for rule in rules for key in ("id", "name")}
    for rule in rules:
        if rule.kind is not Kind.RULE:
            for node in scalars(rule.parts.get("rules")):
                if node.value not in known and node.value != "any":
                    yield rule, at(node, f"there is no rule {node.value} among the files that were looked at")
