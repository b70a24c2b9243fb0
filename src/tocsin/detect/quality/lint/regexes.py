"""Lints of regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.conditions.literal import compile_regex
from tocsin.detect.quality.lint.registry import DETECTIONS, Issue, Level, at, lint
from tocsin.detect.quality.lint.text import Item, RuleText, replaced
from tocsin.model.condition import Regex
from tocsin.model.errors import InvalidRule

__all__: list[str] = []


def _regexes(rule: RuleText) -> Iterator[tuple[Item, yaml.ScalarNode]]:
    for item in rule.items:
        for value in item.values if "re" in item.modifiers else ():
            if isinstance(value, yaml.ScalarNode):
                yield item, value


@lint("regex-invalid", Level.ERROR, "A regular expression cannot be read.", DETECTIONS)
def regex_invalid(rule: RuleText) -> Iterator[Issue]:
    for _, value in _regexes(rule):
        if _re2_error(value.value) and (why := _python_error(value.value)):
            yield at(value, f"the regular expression cannot be read: {why}")


@lint(
    "regex-unsupported",
    Level.ERROR,
    "A regular expression needs what RE2 lacks, such as look-around, or is too large for it.",
    DETECTIONS,
)
def regex_unsupported(rule: RuleText) -> Iterator[Issue]:
    for _, value in _regexes(rule):
        if (lacking := _re2_error(value.value)) and not _python_error(value.value):
            yield at(value, f"{lacking}; what takes unbounded time or memory is not supported")


def _re2_error(pattern: str) -> str:
    try:
        compile_regex(Regex(pattern))
    except InvalidRule as error:
        return error.reason
    return ""


def _python_error(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""


_ENDS: Final = re.compile(r"(?P<front>\.\*\??)?(?P<core>.*?)(?P<back>(?<!\\)\.\*\??)?", re.DOTALL)
_PLAIN: Final = re.compile(r"\^?(?:[^\\.^$*+?{}\[\]|()]|\\[^A-Za-z0-9])+\$?")


@lint(
    "regex-outer-wildcard",
    Level.INFO,
    "A regular expression begins or ends with `.*`, which changes nothing.",
    DETECTIONS,
    fixes=True,
)
def regex_outer_wildcard(rule: RuleText) -> Iterator[Issue]:
    for _, value in _regexes(rule):
        found = _ENDS.fullmatch(value.value)
        core = found["core"] if found else ""
        if core and core != value.value and not core.startswith(("*", "+", "?", "{")) and _alone(core):
            yield at(value, "it is found anywhere in the text: .* at its ends only costs time", replaced(value, core))


def _alone(core: str) -> bool:
    """Does the core mean the same without what stood around it? Not if it has alternatives."""
    return "|" not in core and not _re2_error(core) and not core.endswith("\\")


@lint(
    "regex-simple",
    Level.INFO,
    "A regular expression has no metacharacters: a simpler modifier says the same.",
    DETECTIONS,
)
def regex_simple(rule: RuleText) -> Iterator[Issue]:
    for item, value in _regexes(rule):
        found = _ENDS.fullmatch(value.value)
        core = found["core"] if found else ""
        if _PLAIN.fullmatch(core):
            starts, ends = core.startswith("^"), core.endswith("$") and not core.endswith("\\$")
            way = {(True, True): "equality", (True, False): "|startswith", (False, True): "|endswith"}.get(
                (starts, ends), "|contains"
            )
            cased = "" if item.modified_by("i", "ignorecase") else " with |cased"
            yield at(value, f"no regular expression is needed: {way}{cased} says the same")
