"""Lints of what a rule says about itself: id, status, level, dates, relations."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.detect.quality.lint.registry import (
    EVERYTHING,
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
    replaced,
    valued,
)
from tocsin.model.rule import LEVELS

__all__: list[str] = []

_STATUSES: Final = ("stable", "test", "experimental", "deprecated", "unsupported")
_RELATIONS: Final = ("derived", "obsolete", "merged", "renamed", "similar", "correlation")
_DATES: Final = ("date", "modified")
_DATE: Final = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_NEARLY_DATE: Final = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_UUID4: Final = 4


@lint("invalid-id", Level.ERROR, "`id` is no UUID.")
def invalid_id(rule: RuleText) -> Iterator[Issue]:
    node = rule.get("id")
    if node is not None and valued(node) and not _uuid(node):
        yield at(node, f"the id {node.value!r} is no UUID")


def _uuid(node: yaml.Node | None) -> uuid.UUID | None:
    # The library also takes braces, `urn:uuid:` and no hyphens at all.
    if not isinstance(node, yaml.ScalarNode) or not _UUID.fullmatch(node.value):
        return None
    return uuid.UUID(node.value)


@lint("id-version", Level.INFO, "`id` is a UUID, but no random one (version 4).")
def id_version(rule: RuleText) -> Iterator[Issue]:
    node = rule.get("id")
    found = _uuid(node)
    if node is not None and found is not None and found.version != _UUID4:
        yield at(node, f"the id is a UUID of version {found.version}; the specification has random ones, version 4")


def _enumeration(key: str, known: tuple[str, ...], kinds: tuple[Kind, ...]) -> None:
    @lint(f"invalid-{key}", Level.ERROR, f"`{key}` is none of {', '.join(known)}.", kinds, fixes=True)
    def invalid(rule: RuleText) -> Iterator[Issue]:
        node = rule.get(key)
        if isinstance(node, yaml.ScalarNode) and valued(node) and node.value not in known:
            meant = near(node.value, known)
            edits = (replaced(node, meant),) if meant else ()
            hint = f"; did you mean {meant}?" if meant else f": {', '.join(known)}"
            yield at(node, f"{key} {node.value!r} is not known{hint}", *edits)


_enumeration("status", _STATUSES, EVERYTHING)
_enumeration("level", LEVELS, EVERYTHING)


def _date_lint(key: str) -> None:
    @lint(f"invalid-{key}", Level.ERROR, f"`{key}` is no date of the form 2026-11-23.", fixes=True)
    def invalid(rule: RuleText) -> Iterator[Issue]:
        node = rule.get(key)
        if isinstance(node, yaml.ScalarNode) and valued(node) and not _date(node.value):
            parts = _NEARLY_DATE.fullmatch(node.value)
            meant = "-".join((parts[1], parts[2].zfill(2), parts[3].zfill(2))) if parts else ""
            edits = (replaced(node, meant),) if _date(meant) else ()
            yield at(node, f"{key} {node.value!r} is no date of the form YYYY-MM-DD", *edits)


for _key in _DATES:
    _date_lint(_key)


def _date(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


@lint("modified-before-date", Level.WARNING, "`modified` is earlier than `date`.")
def modified_before_date(rule: RuleText) -> Iterator[Issue]:
    made, modified = _date(rule.said("date")), _date(rule.said("modified"))
    if made and modified and modified < made:
        yield at_key(rule, "modified", f"the rule was modified on {modified}, before it was made on {made}")


@lint("invalid-related", Level.ERROR, "An entry of `related` lacks `id` or `type`, or they are not valid.", fixes=True)
def invalid_related(rule: RuleText) -> Iterator[Issue]:
    for member in rule.list_of("related"):
        said = {str(key.value): value for key, value in entries(member)}
        missing = [key for key in ("id", "type") if not valued(said.get(key))]
        if missing:
            yield at(member, f"an entry of related has no {' and no '.join(missing)}")
            continue
        if not _uuid(said["id"]):
            yield at(said["id"], f"the related id {said['id'].value!r} is no UUID")
        kind = said["type"]
        if kind.value not in _RELATIONS:
            meant = near(str(kind.value), _RELATIONS)
            edits = (replaced(kind, meant),) if meant else ()
            yield at(kind, f"related type {kind.value!r} is none of {', '.join(_RELATIONS)}", *edits)


@lint("related-to-itself", Level.WARNING, "A rule says that it is related to itself.")
def related_to_itself(rule: RuleText) -> Iterator[Issue]:
    for member in rule.list_of("related"):
        for key, value in entries(member):
            if key.value == "id" and value.value and value.value == rule.said("id"):
                yield at(value, "the rule is related to itself")


@lint("deprecated-alone", Level.WARNING, "A deprecated rule does not say in `related` what took its place.")
def deprecated_alone(rule: RuleText) -> Iterator[Issue]:
    if rule.said("status") == "deprecated" and not rule.list_of("related"):
        yield at_key(rule, "status", "the rule is deprecated, but related does not say what took its place")
