"""Lints of a document's keys: which there are, and what kind of value each has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.detect.quality.lint.registry import (
    CORRELATIONS,
    DETECTIONS,
    EVERYTHING,
    RULES,
    Issue,
    Level,
    at,
    at_key,
    lint,
    near,
)
from tocsin.detect.quality.lint.text import (
    Kind,
    RuleText,
    entries,
    is_text,
    members,
    removed,
    replaced,
    type_of,
    valued,
)

__all__: list[str] = []

_TEXTS: Final = ("title", "id", "name", "taxonomy", "status", "description", "license", "author", "level")
_LISTS: Final = ("references", "tags", "falsepositives", "fields", "scope", "related")
_MAPS: Final = ("logsource", "detection", "correlation", "filter")
_DATES: Final = ("date", "modified")
_OTHER: Final = ("generate", "tocsin", "action", "regression_tests_path", "simulation")
KNOWN_KEYS: Final = frozenset({*_TEXTS, *_LISTS, *_MAPS, *_DATES, *_OTHER})
_NAMED_IF_MISSING: Final = ("title", *_MAPS)
_LONGEST: Final = {"title": 256, "name": 256, "taxonomy": 256, "description": 65_535}
_SHORTEST: Final = 2


@lint("missing-title", Level.ERROR, "There is no `title`, or it is empty.")
def missing_title(rule: RuleText) -> Iterator[Issue]:
    if not rule.said("title").strip():
        yield at_key(rule, "title", "the rule has no title")


@lint("missing-logsource", Level.ERROR, "A rule or filter has no `logsource`.", DETECTIONS)
def missing_logsource(rule: RuleText) -> Iterator[Issue]:
    if not valued(rule.get("logsource")):
        yield at_key(rule, "logsource", f"the {rule.kind} has no logsource")


@lint("missing-detection", Level.ERROR, "A rule has no `detection`.", RULES)
def missing_detection(rule: RuleText) -> Iterator[Issue]:
    if not valued(rule.get("detection")):
        yield at_key(rule, "detection", "the rule has no detection")


def _recommended(key: str, level: Level, kinds: tuple[Kind, ...], why: str) -> None:
    @lint(f"missing-{key}", level, f"There is no `{key}`: {why}.", kinds)
    def missing(rule: RuleText) -> Iterator[Issue]:
        if not valued(rule.get(key)):
            yield at_key(rule, key, f"there is no {key}: {why}")


_META: Final = (Kind.RULE, Kind.CORRELATION)

_recommended("id", Level.WARNING, EVERYTHING, "alerts, versions and other rules refer to it")
_recommended("level", Level.WARNING, _META, "alerts are sorted by it")
_recommended("status", Level.INFO, _META, "it says how far the rule can be trusted")
_recommended("description", Level.INFO, EVERYTHING, "whoever gets the alert reads it")
_recommended("author", Level.INFO, _META, "questions need someone to go to")
_recommended("date", Level.INFO, _META, "it shows how old the rule is")
_recommended("references", Level.INFO, RULES, "they say where the detection comes from")
_recommended("falsepositives", Level.INFO, RULES, "they say what else it finds; `Unknown` if you do not know")
_recommended("tags", Level.INFO, RULES, "ATT&CK coverage is counted by them")


@lint("empty-key", Level.WARNING, "A key has an empty text or list as its value.")
def empty_key(rule: RuleText) -> Iterator[Issue]:
    for name, (key, value) in rule.keys.items():
        if name in KNOWN_KEYS and value.value in ("", []) and valued(value) and name != "title":
            yield at(key, f"{name} is empty")


@lint("wrong-type", Level.ERROR, "A key's value is of the wrong kind: a list where a text should be, or the like.")
def wrong_type(rule: RuleText) -> Iterator[Issue]:
    for name, (key, value) in rule.keys.items():
        wanted = _wanted(name)
        if wanted and type_of(value) not in wanted and (valued(value) or name not in _NAMED_IF_MISSING):
            yield at(key, f"{name} must be {_words(wanted[0])}, not {_words(type_of(value))}")
    for name in ("references", "tags", "falsepositives", "fields", "scope"):
        for member in rule.list_of(name):
            if not is_text(member) and name != "fields":
                yield at(member, f"{name} must hold texts, not {_words(type_of(member))}")


def _wanted(key: str) -> tuple[str, ...]:
    if key in _TEXTS:
        return ("str",)
    if key in _DATES:
        return ("str", "timestamp")
    if key in _LISTS:
        return ("seq",)
    return ("map",) if key in _MAPS else ()


def _words(kind: str) -> str:
    named = {
        "str": "a text",
        "seq": "a list",
        "map": "a map",
        "int": "a number",
        "float": "a number",
        "null": "nothing",
    }
    return named.get(kind, f"a {kind}")


@lint("duplicate-key", Level.ERROR, "A key stands twice in one map: YAML keeps only one of them.")
def duplicate_key(rule: RuleText) -> Iterator[Issue]:
    yield from _twice(rule.root)


def _twice(node: yaml.Node) -> Iterator[Issue]:
    seen: set[str] = set()
    for key, value in entries(node):
        if str(key.value) in seen:
            yield at(key, f"the key {key.value} stands twice in one map: only one of them counts")
        seen.add(str(key.value))
        yield from _twice(value)
    for member in members(node):
        yield from _twice(member)


@lint("key-case", Level.WARNING, "A key is not written in small letters.", fixes=True)
def key_case(rule: RuleText) -> Iterator[Issue]:
    for name, (key, _) in rule.keys.items():
        if name != name.lower() and name.lower() in KNOWN_KEYS:
            yield at(key, f"the key {name} must be written {name.lower()}", replaced(key, name.lower()))


@lint("misspelt-key", Level.WARNING, "A key that no one knows is nearly one of the specification.", fixes=True)
def misspelt_key(rule: RuleText) -> Iterator[Issue]:
    for name, (key, _) in rule.keys.items():
        if name.lower() not in KNOWN_KEYS and (meant := near(name, KNOWN_KEYS)) and meant not in rule.keys:
            yield at(key, f"the key {name} is unknown; did you mean {meant}?", replaced(key, meant))


@lint("unknown-key", Level.INFO, "A key is none of the specification's; other tools do not know it.")
def unknown_key(rule: RuleText) -> Iterator[Issue]:
    for name, (key, _) in rule.keys.items():
        if name.lower() not in KNOWN_KEYS and not near(name, KNOWN_KEYS):
            yield at(key, f"the key {name} is none of the specification's")


@lint("too-long", Level.ERROR, "A text is longer than the specification allows.")
def too_long(rule: RuleText) -> Iterator[Issue]:
    for key, longest in _LONGEST.items():
        if len(rule.said(key)) > longest:
            yield at_key(rule, key, f"{key} is {len(rule.said(key))} characters long; {longest} is the most")


@lint("duplicate-item", Level.WARNING, "A list says the same twice: tags, references, fields, ...", fixes=True)
def duplicate_item(rule: RuleText) -> Iterator[Issue]:
    for name in ("tags", "references", "fields", "falsepositives", "scope"):
        seen: set[object] = set()
        for member in rule.list_of(name):
            if isinstance(member, yaml.ScalarNode):
                if member.value in seen:
                    yield at(member, f"{name} says {member.value!r} twice", *removed(rule, member))
                seen.add(member.value)


@lint("too-short", Level.WARNING, "An entry of `falsepositives` or `scope` has fewer than two characters.")
def too_short(rule: RuleText) -> Iterator[Issue]:
    for name in ("falsepositives", "scope"):
        for member in rule.list_of(name):
            if isinstance(member, yaml.ScalarNode) and len(member.value) < _SHORTEST:
                yield at(member, f"{name} says {member.value!r}, which says nothing")


@lint("generate-not-boolean", Level.ERROR, "`generate` is neither true nor false.", CORRELATIONS)
def generate_not_boolean(rule: RuleText) -> Iterator[Issue]:
    for node in (rule.get("generate"), rule.parts.get("generate")):
        if node is not None and type_of(node) != "bool":
            yield at(node, "generate must be true or false")


@lint("yaml-line-ends", Level.INFO, "Lines end in CR LF; the specification has LF.", fixes=False)
def yaml_line_ends(rule: RuleText) -> Iterator[Issue]:
    if "\r\n" in rule.text and rule.root.start_mark.line <= rule.text[: rule.text.find("\r\n")].count("\n") + 1:
        yield Issue(rule.line, "lines end in CR LF; the specification has LF")
