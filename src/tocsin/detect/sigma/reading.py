"""What rules, correlations and filters have in common: texts that must be texts, and errors with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sigma.exceptions import SigmaError
from sigma.rule.base import SigmaRuleBase

from tocsin.detect.sigma.document import Document
from tocsin.detect.sigma.modifiers import plain_reason
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import LEVELS

__all__ = ["checked_content", "document_id", "level_of", "read_with", "status_of"]

_LONG_NAME: Final = 3


@contextmanager
def read_with(document: Document) -> Iterator[None]:
    """Whatever is wrong in here becomes an InvalidRule with file and line."""
    try:
        yield
    except InvalidRule as error:
        raise InvalidRule(error.reason, document.path, _guilty_line(document, error.reason)) from error
    except SigmaError as error:
        reason = plain_reason(error)
        raise InvalidRule(reason, document.path, _guilty_line(document, reason)) from error
    except RecursionError as error:
        reason = "the condition is nested too deeply"
        raise InvalidRule(reason, document.path, _guilty_line(document, reason)) from error
    except (AttributeError, LookupError, NotImplementedError, TypeError, ValueError) as error:
        # What pySigma does with values of a kind that it did not expect; a text of Python's would help nobody.
        reason = "some value in it is of a kind that means nothing there"
        raise InvalidRule(reason, document.path, _guilty_line(document, reason)) from error


def _guilty_line(document: Document, reason: str) -> int:
    """The line of the key, field or selection that the reason names, else where the body starts."""
    places = document.fields | document.selections | document.keys
    named = re.split(r"[^\w.-]+", reason.replace("log source", "logsource"))
    # Names as short as `s` are words of their own; they count only in quotes.
    certain = [name for name in named if len(name) >= _LONG_NAME or f"{name!r}" in reason]
    for name in [*named[:1], *certain]:
        if name in places:
            return places[name]
    return document.line_of("detection", "correlation", "filter")


def checked_content(document: Document) -> dict[str, object]:
    """The document for pySigma: without our additions, and without the id, which need not be a UUID but must be there.

    Raises:
        InvalidRule: an id, name, title, description, condition or regular expression that is no text.
    """
    for key in ("id", "name", "title", "description"):
        if not isinstance(said := document.content.get(key, ""), str):
            raise InvalidRule(f"{key} must be a text, not {said!r}")
    for key in ("detection", "filter"):
        body = document.content.get(key)
        if isinstance(body, dict) and "condition" in body:
            _check_condition(body["condition"])
        _check_patterns(body)
    return {key: value for key, value in document.content.items() if key not in {"tocsin", "id"}}


def _check_condition(said: object) -> None:
    for each in said if isinstance(said, list) else [said]:
        if not isinstance(each, str):
            raise InvalidRule(f"the condition must be a text, not {'null' if each is None else each}")


def _check_patterns(body: object) -> None:
    """A number is no regular expression: whether 1.50 was meant with the dot as any character, nobody can know."""
    if isinstance(body, list):
        for each in body:
            _check_patterns(each)
    elif isinstance(body, dict):
        for key, value in body.items():
            if "re" not in str(key).split("|")[1:]:
                _check_patterns(value)
                continue
            said = value if isinstance(value, list) else [value]
            if wrong := ["null" if each is None else each for each in said if not isinstance(each, str)]:
                raise InvalidRule(f"{key} needs a regular expression in quotes, not {wrong[0]}")


def document_id(document: Document) -> str:
    """The id, else the name, else the file's."""
    return str(document.content.get("id") or document.content.get("name") or Path(document.path).stem)


def level_of(sigma: SigmaRuleBase, default: str = "medium") -> str:
    """One of our levels."""
    level = sigma.level.name.lower() if sigma.level else default
    return level if level in LEVELS else default


def status_of(sigma: SigmaRuleBase) -> str:
    """The status, if it says one."""
    return sigma.status.name.lower() if sigma.status else ""
