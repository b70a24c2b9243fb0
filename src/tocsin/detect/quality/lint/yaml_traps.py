"""Lints of what YAML makes of a value that is not quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.detect.quality.lint.registry import DETECTIONS, Issue, Level, at, lint
from tocsin.detect.quality.lint.text import Edit, RuleText, scalars, type_of

__all__: list[str] = []

_TRUTHS: Final = frozenset({"true", "false"})
# Of a plain value that YAML reads as a number: other than digits, with a point at most, they change it.
_PLAIN_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)


@lint(
    "yaml-truth",
    Level.WARNING,
    "`yes`, `no`, `on` or `off` without quotes is true or false in YAML.",
    DETECTIONS,
    fixes=True,
)
def yaml_truth(rule: RuleText) -> Iterator[Issue]:
    for value in _plain_values(rule):
        if type_of(value) == "bool" and value.value.lower() not in _TRUTHS:
            yield at(value, f"{value.value} without quotes is a truth value, not a text", _quoted(value))


@lint(
    "yaml-number",
    Level.WARNING,
    "YAML reads a plain value as another number than it looks: `0x10`, `012`, `1_000`, `12:30`.",
    DETECTIONS,
    fixes=True,
)
def yaml_number(rule: RuleText) -> Iterator[Issue]:
    for value in _plain_values(rule):
        if type_of(value) in {"int", "float"} and not _PLAIN_NUMBER.fullmatch(value.value):
            yield at(
                value, f"YAML reads {value.value} as another number; quote it if the text is meant", _quoted(value)
            )


@lint("yaml-date", Level.ERROR, "YAML reads a plain value as a date.", DETECTIONS, fixes=True)
def yaml_date(rule: RuleText) -> Iterator[Issue]:
    for value in _plain_values(rule):
        if type_of(value) == "timestamp":
            yield at(value, f"YAML reads {value.value} as a date; quote it", _quoted(value))


def _plain_values(rule: RuleText) -> Iterator[yaml.ScalarNode]:
    return (value for item in rule.items for value in scalars(item.value) if not value.style)


def _quoted(value: yaml.ScalarNode) -> Edit:
    return Edit(value.start_mark.index, value.end_mark.index, f"'{value.value}'")
