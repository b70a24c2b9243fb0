"""A rule's selections by name, as conditions: a compiled rule is one tree that has forgotten them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from tocsin.detect.sigma.document import Document, documents
from tocsin.detect.sigma.logsource import RAW, Mapping, find_mapping
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.condition import And, Condition
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import Rule

__all__ = ["Named", "named_selections"]


class Named(msgspec.Struct, frozen=True):
    """A selection."""

    name: str
    line: int
    condition: Condition


def named_selections(rule: Rule, mapping: Mapping | None = None, text: str | None = None) -> list[Named]:
    """The selections of a rule, from what its file says; none if that has changed or is gone.

    The mapping is the one that the rule was loaded with, if not its log source's.
    """
    try:
        said = Path(rule.path).read_text("utf-8") if text is None else text
        document = next((each for each in documents(said, rule.path) if each.line == rule.line), None)
    except (OSError, UnicodeDecodeError, InvalidRule):
        return []
    detection = document.content.get("detection") if document else None
    if document is None or not isinstance(detection, dict):
        return []
    names = [str(name) for name in detection if name not in {"condition", "timeframe"}]
    return [named for name in names if (named := _selection(document, detection, name, mapping))]


def _selection(document: Document, detection: dict[str, object], name: str, mapping: Mapping | None) -> Named | None:
    """A selection, compiled as if it were the whole rule."""
    alone = {key: value for key, value in detection.items() if key == name} | {"condition": name}
    content = document.content | {"detection": alone}
    try:
        rule = load_rule(replace(document, content=content), mapping)
    except InvalidRule:
        return None
    located = (mapping or find_mapping(rule.logsource)).where if mapping is not RAW else {}
    condition = rule.condition.parts[-1] if located and isinstance(rule.condition, And) else rule.condition
    return Named(name, document.selections.get(name, document.line), condition)
