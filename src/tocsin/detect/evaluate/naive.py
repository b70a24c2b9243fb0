"""Judge one event by one condition, the slow and obvious way: the reference for every other evaluator.

It also explains: for a match, `met` names the terms that held and the values that made them hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.conditions.literal import passes, relates
from tocsin.detect.evaluate.texts import keyword_texts, record_fields, texts
from tocsin.model.condition import (
    And,
    Condition,
    InRecord,
    Keyword,
    Match,
    Not,
    Or,
    SameAs,
    Scope,
    fold,
)
from tocsin.model.event import Event
from tocsin.model.finding import MetTerm

__all__ = ["holds", "met"]

Fields = dict[str, str]


def holds(condition: Condition, event: Event, record: Fields | None = None) -> bool:
    """Does the condition hold for the event, and inside InRecord for that record of it?"""
    match condition:
        case And(parts):
            return all(holds(part, event, record) for part in parts)
        case Or(parts):
            return any(holds(part, event, record) for part in parts)
        case Not(part):
            return not holds(part, event, record)
        case InRecord(part):
            return any(holds(part, event, record_fields(each)) for each in event.records)
        case _:
            return next(_met_by(condition, event, record), None) is not None


def _met_by(leaf: Match | Keyword, event: Event, record: Fields | None) -> Iterator[tuple[str, str]]:
    """Full path and text of what makes a leaf hold."""
    if isinstance(leaf, Keyword):
        yield from ((path, text) for path, text in _searched(event, record) if passes(leaf.test, text))
        return
    found = texts(event, leaf.field, record)
    if isinstance(leaf.test, SameAs):
        others = texts(event, leaf.test.other, record)
        found = [text for text in found if any(_same(leaf.test, text, other) for other in others)]
    else:
        found = [text for text in found if passes(leaf.test, text)]
    yield from ((leaf.field.full_path, text) for text in found)


def _searched(event: Event, record: Fields | None) -> Iterator[tuple[str, str]]:
    if record is None:
        return keyword_texts(event)
    return ((f"{Scope.RECORD.value}.{key}", text) for key, text in record.items())


def _same(test: SameAs, text: str, other: str) -> bool:
    return relates(test.relation, text, other) if test.cased else relates(test.relation, fold(text), fold(other))


def met(condition: Condition, event: Event) -> tuple[MetTerm, ...]:
    """The terms that held, each with the first value that made it hold, in the rule's order and once each.

    Only what made the event match: an alternative that failed, and whatever must not hold, is left out.
    """
    found = {(term.term, term.field): term for term in reversed(list(_met(condition, event, None)))}
    return tuple(reversed(found.values()))


def _met(condition: Condition, event: Event, record: Fields | None) -> Iterator[MetTerm]:
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                if holds(part, event, record):
                    yield from _met(part, event, record)
        case InRecord(part):
            records = map(record_fields, event.records)
            fitting = next((fields for fields in records if holds(part, event, fields)), None)
            if fitting is not None:
                yield from _met(part, event, fitting)
        case Not():
            return
        case _:
            for path, text in _met_by(condition, event, record):
                yield MetTerm(path, condition.written or path, text)
                return
