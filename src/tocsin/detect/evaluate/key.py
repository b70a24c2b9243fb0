"""What an event must hold for a condition to hold: keys, cheap to look for in a whole batch at once.

A key never misses an event that its test would pass; it may let others through, which the condition itself then judges.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tocsin.detect.evaluate.witness import witness
from tocsin.model.condition import (
    And,
    Compare,
    Condition,
    Exists,
    Field,
    InRecord,
    Keyword,
    Match,
    Not,
    Number,
    Or,
    Relation,
    SameAs,
    Test,
    Text,
    fold,
)

__all__ = ["ALWAYS", "SHORTEST_SCANNED", "Key", "Keys", "Look", "Needed", "NeedsAll", "NeedsAny", "keys_in"]

_SHORTEST: Final = 2  # bytes; a single one occurs nearly everywhere
SHORTEST_SCANNED: Final = 4  # bytes; what equals a shorter text is looked up


class Look(enum.Enum):
    """How a key is looked for."""

    CONTAINS = Relation.CONTAINS
    STARTSWITH = Relation.STARTSWITH
    ENDSWITH = Relation.ENDSWITH
    EQUALS = Relation.EQUALS
    NUMBER = "number"  # the text is that number, however it is written
    PRESENT = "present"  # there is a text

    __hash__ = object.__hash__  # an enum's own is written in Python, and keys are hashed by the hundred thousand


_LOOKS: Final = {relation: Look(relation) for relation in Relation}


@dataclass(frozen=True, slots=True)
class Key:
    """A text to look for in a field, or where keywords are searched.

    literal: folded; of a number its plain form.
    """

    field: Field | None  # None: wherever keywords are searched
    look: Look
    literal: str = ""
    in_record: bool = False  # of keywords: they are searched in records


@dataclass(frozen=True, slots=True)
class NeedsAll:
    """All parts must be found."""

    parts: tuple[Needed, ...]


@dataclass(frozen=True, slots=True)
class NeedsAny:
    """Some part must be found; of nothing: the condition never holds."""

    parts: tuple[Needed, ...]


Needed = int | NeedsAll | NeedsAny  # a key by its number
ALWAYS: Final = NeedsAll(())  # nothing is needed: every event must be judged


class Keys:
    """All keys of some rules; equal ones have one number."""

    def __init__(self) -> None:
        self._numbers: dict[Key, int] = {}
        self.all: Final[list[Key]] = []

    def needed(self, condition: Condition) -> Needed:
        """What must be found in an event for the condition to hold."""
        return self._needed(condition, in_record=False)

    def exact(self, condition: Condition) -> frozenset[int] | None:
        """The keys of which one is found in columns exactly where the condition holds; None if there are no such."""
        if isinstance(condition, InRecord):
            return self._exact(condition.part, in_record=True)
        return self._exact(condition, in_record=False)

    def _number(self, key: Key) -> int:
        number = self._numbers.setdefault(key, len(self.all))
        if number == len(self.all):
            self.all.append(key)
        return number

    def _needed(self, condition: Condition, *, in_record: bool) -> Needed:
        match condition:
            case And(parts):
                return _all([self._needed(part, in_record=in_record) for part in parts])
            case Or(parts):
                return _any([self._needed(part, in_record=in_record) for part in parts])
            case Not(part):
                return self._opposite(part, in_record=in_record)
            case InRecord(part):
                return self._needed(part, in_record=True)
            case Match(field, SameAs(other)):
                return _all([self._number(Key(each, Look.PRESENT)) for each in (field, other)])
            case _:
                key = _key(condition, in_record=in_record)
                return ALWAYS if key is None else self._number(key)

    def _opposite(self, condition: Condition, *, in_record: bool) -> Needed:
        """What must be found for the condition not to hold; De Morgan."""
        match condition:
            case And(parts):
                return _any([self._opposite(part, in_record=in_record) for part in parts])
            case Or(parts):
                return _all([self._opposite(part, in_record=in_record) for part in parts])
            case Not(part):
                return self._needed(part, in_record=in_record)
            case _:
                return ALWAYS

    def _exact(self, condition: Condition, *, in_record: bool) -> frozenset[int] | None:
        match condition:
            case Or(parts):
                inner = [self._exact(part, in_record=in_record) for part in parts]
                return None if None in inner else frozenset().union(*(keys for keys in inner if keys is not None))
            case Match() | Keyword():
                key = _key(condition, in_record=in_record)
                return frozenset({self._number(key)}) if key and _says_all(key, condition.test) else None
            case _:
                return None


def _all(parts: Iterable[Needed]) -> Needed:
    return _linked(NeedsAll, [part for part in parts if part != ALWAYS])


def _any(parts: list[Needed]) -> Needed:
    return ALWAYS if ALWAYS in parts else _linked(NeedsAny, parts)


def _linked(of: Callable[[tuple[Needed, ...]], Needed], parts: Iterable[Needed]) -> Needed:
    distinct = tuple(dict.fromkeys(parts))
    return distinct[0] if len(distinct) == 1 else of(distinct)


def _key(leaf: Match | Keyword, *, in_record: bool) -> Key | None:
    match leaf:
        case Keyword(test):
            return Key(None, Look.CONTAINS, literal, in_record) if (literal := _literal(test)) else None
        case Match(field, Text(Relation.EQUALS, value)):
            return Key(field, Look.EQUALS, fold(value))
        case Match(field, Text(relation) as test) if literal := _literal(test):
            return Key(field, _LOOKS[relation], literal)
        case Match(field, Number(Compare.EQUALS, value)):
            return Key(field, Look.NUMBER, repr(float(value)))
        case Match(field, test):
            literal = _literal(test)
            return Key(field, Look.CONTAINS, literal) if literal else Key(field, Look.PRESENT)


def _literal(test: Test) -> str:
    literal = witness(test)
    return literal if len(literal.encode()) >= _SHORTEST else ""


def _says_all(key: Key, test: Test) -> bool:
    """Does finding the key mean that the test is passed?"""
    match test:
        case Text(relation, _, cased):
            return not cased and key.look is _LOOKS[relation]
        case Number(compare):
            return compare is Compare.EQUALS
        case _:
            return isinstance(test, Exists)


def keys_in(needed: Needed) -> Iterable[int]:
    """The numbers of all keys that could be looked for."""
    if isinstance(needed, int):
        yield needed
    else:
        for part in needed.parts:
            yield from keys_in(part)
