"""Patterns in their simplest form, so that equal patterns are equal tests."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.model.condition import Glob, Relation, Text, Wildcard

__all__ = ["pattern"]


def pattern(parts: Iterable[str | Glob], *, cased: bool) -> Text | Wildcard:
    """The test that a whole text is the parts in order; a plain relation where that says the same."""
    match tuple(_merged(parts)):
        case ():
            return Text(Relation.EQUALS, "", cased)
        case (str(text),):
            return Text(Relation.EQUALS, text, cased)
        case (str(text), Glob.ANY):
            return Text(Relation.STARTSWITH, text, cased)
        case (Glob.ANY, str(text)):
            return Text(Relation.ENDSWITH, text, cased)
        case (Glob.ANY, str(text), Glob.ANY):
            return Text(Relation.CONTAINS, text, cased)
        case others:
            return Wildcard(others, cased)


def _merged(parts: Iterable[str | Glob]) -> list[str | Glob]:
    """Without empty texts, neighbouring texts as one, runs of `*` as one."""
    merged: list[str | Glob] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, str) and isinstance(last, str):
            merged[-1] = last + part
        elif part and not (part is Glob.ANY and last is Glob.ANY):
            merged.append(part)
    return merged
