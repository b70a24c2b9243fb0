"""A literal that must occur in every text that passes a test: where it is absent, the test need not be tried."""

from __future__ import annotations

import re
from re import _constants as constants  # type: ignore[attr-defined]  # no public way to see a parsed pattern
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

from tocsin.model.condition import Regex, Test, Text, Wildcard, fold

__all__ = ["shortest_match", "witness"]

# What Python's parser reads differently from RE2: POSIX classes.
_FOREIGN: Final = "[:"


def witness(test: Test) -> str:
    """The longest such literal, folded; empty if there is none to be seen."""
    match test:
        case Text(_, value, _):
            return fold(value)
        case Wildcard(parts, _):
            return max((fold(part) for part in parts if isinstance(part, str)), key=len, default="")
        case Regex():
            return _of_pattern(test)
        case _:
            return ""


def shortest_match(test: Regex) -> int:
    """So many characters a text must have at least for the pattern to be found in it."""
    parsed = _parsed(test.pattern)
    return 0 if parsed is None else int(parsed.getwidth()[0])


def _of_pattern(test: Regex) -> str:
    parsed = _parsed(test.pattern)
    return "" if parsed is None else max(_literals(list(parsed)), key=len, default="")


def _parsed(pattern: str) -> Any:  # noqa: ANN401 - there is no public type
    if _FOREIGN in pattern:
        return None
    try:
        return parser.parse(pattern)
    except (re.error, OverflowError, RecursionError, FutureWarning):
        return None


def _literals(tokens: list[tuple[Any, Any]]) -> list[str]:
    """Runs of characters that every match of the sequence holds."""
    found: list[str] = []
    run = ""
    for kind, argument in tokens:
        if kind is constants.LITERAL:
            run += fold(chr(argument))
            continue
        found, run = [*found, run], ""
        if kind is constants.SUBPATTERN:
            found += _literals(list(argument[-1]))
        elif kind in {constants.MAX_REPEAT, constants.MIN_REPEAT} and argument[0] > 0:
            found += _literals(list(argument[2]))
    return [*found, run]
