"""Sigma files to rules.

Tocsin's own additions lie in the file under the key `tocsin`: title (a template), group_by, window, response. Sigma
tools ignore it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from tocsin.detect.sigma import logsource
from tocsin.detect.sigma.condition import detections_condition
from tocsin.detect.sigma.document import Document
from tocsin.model.condition import And, Condition
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import DEFAULT_WINDOW_MS, LEVELS, LogSource, Rule

__all__ = ["load_rule"]

_WINDOW: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_LONG_NAME: Final = 3
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class _Additions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands under `tocsin`."""

    title: str = ""
    group_by: tuple[str, ...] = ()
    window: str = ""
    response: str = ""


def load_rule(document: Document, mapping: logsource.Mapping | None = None) -> Rule:
    """The rule of a document; its fields are found through its log source's mapping, or the one that is given.

    Raises:
        InvalidRule: it cannot be compiled; names file and line.
    """
    try:
        return _rule(document, mapping)
    except InvalidRule as error:
        raise InvalidRule(error.reason, document.path, _guilty_line(document, error.reason)) from error
    except SigmaError as error:
        reason = str(error.args[0]) if error.args else type(error).__name__
        raise InvalidRule(reason, document.path, _guilty_line(document, reason)) from error


def _guilty_line(document: Document, reason: str) -> int:
    """The line of the key, field or selection that the reason names, else where the detection starts."""
    places = document.fields | document.selections | document.keys
    named = re.split(r"[^\w.-]+", reason)
    # Names as short as `s` are words of their own; they count only in quotes.
    certain = [name for name in named if len(name) >= _LONG_NAME or f"{name!r}" in reason]
    for name in [*named[:1], *certain]:
        if name in places:
            return places[name]
    return document.keys.get("detection", document.line)


def _rule(document: Document, given: logsource.Mapping | None) -> Rule:
    content = document.content
    for kind in ("correlation", "filter"):
        if kind in content:
            raise InvalidRule(f"a {kind} is not a rule that can be compiled alone")
    for key in ("id", "title", "description"):
        if not isinstance(said := content.get(key, ""), str):
            raise InvalidRule(f"{key} must be a text, not {said!r}")
    additions = _additions(content.get("tocsin"))
    sigma = _read({key: value for key, value in content.items() if key != "tocsin"})
    source = LogSource(sigma.logsource.product or "", sigma.logsource.category or "", sigma.logsource.service or "")
    mapping = given or logsource.find_mapping(source)
    return Rule(
        id=str(sigma.id or sigma.name or Path(document.path).stem),
        title=sigma.title,
        condition=_located(detections_condition(sigma.detection, mapping), mapping),
        class_uids=mapping.classes,
        title_template=additions.title,
        description=(sigma.description or "").strip(),
        level=_level(sigma),
        status=sigma.status.name.lower() if sigma.status else "",
        logsource=source,
        tags=tuple(str(tag) for tag in sigma.tags),
        references=tuple(map(str, sigma.references)),
        false_positives=tuple(map(str, sigma.falsepositives)),
        response=additions.response,
        group_by=additions.group_by or mapping.group_by,
        window_ms=_window_ms(additions.window),
        path=document.path,
        line=document.line,
        lines=tuple(document.selections.items()),
    )


def _read(content: dict[str, object]) -> SigmaRule:
    try:
        return SigmaRule.from_dict(content)
    except SigmaError:
        raise
    except (AttributeError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError) as error:
        # What pySigma does with values of a kind that it did not expect.
        raise InvalidRule(f"some value is of the wrong kind: {error}") from error


def _additions(content: object) -> _Additions:
    try:
        return msgspec.convert(content or {}, _Additions)
    except msgspec.ValidationError as error:
        raise InvalidRule(f"tocsin: {error}") from error


def _level(sigma: SigmaRule) -> str:
    level = sigma.level.name.lower() if sigma.level else "medium"
    return level if level in LEVELS else "medium"


def _window_ms(window: str) -> int:
    if not window:
        return DEFAULT_WINDOW_MS
    found = _WINDOW.fullmatch(window)
    if found is None:
        raise InvalidRule(f"tocsin: window {window!r} must be a number and s, m, h or d, e.g. 4h")
    return int(found[1]) * _UNITS_MS[found[2]]


def _located(condition: Condition, mapping: logsource.Mapping) -> Condition:
    """The condition, and that the event is of the kind that the log source means."""
    guards = mapping.guards()
    return And((*guards, condition)) if guards else condition
