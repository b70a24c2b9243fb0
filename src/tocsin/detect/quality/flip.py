"""How far an event is from a verdict: the fewest terms that would have to turn out the other way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from math import inf
from typing import Final

from tocsin.detect.evaluate.naive import holds
from tocsin.detect.evaluate.texts import record_fields, texts
from tocsin.model.condition import And, Condition, InRecord, Keyword, Leaf, Match, Not, Or, Text, Wildcard
from tocsin.model.event import Event

__all__ = ["Fields", "Flip", "distance", "flips"]

Fields = dict[str, str]
_COMPARED: Final = 300  # characters of a value that are held against a literal


@dataclass(frozen=True, slots=True)
class Flip:
    """A term of the condition that must hold, or must not, where it is the other way now."""

    leaf: Leaf
    must_hold: bool
    record: Fields | None = None
    key: int = -1  # which of the event's records; -1: none

    def same(self, other: Flip) -> bool:
        """Is it about the same term of the same record?"""
        return self.leaf == other.leaf and self.key == other.key


def flips(condition: Condition, event: Event, record: Fields | None = None) -> tuple[Flip, ...] | None:
    """The fewest terms to turn so that the condition holds, none if it does; None if no turning would do.

    Each part of the condition is turned the cheapest way for itself: where that asks for opposites, None too.
    """
    found = _Search(event).best(condition, wanted=True, record=record, key=-1)
    return found.flips if found else None


def distance(condition: Condition, event: Event, record: Fields | None = None) -> tuple[float, float]:
    """How far the event is from meeting it: how many terms, and how unlike their values are to what is asked."""
    found = _Search(event).best(condition, wanted=True, record=record, key=-1)
    return found.cost() if found else (inf, inf)


@dataclass(frozen=True, slots=True)
class _Way:
    """Terms to turn, and how unlike the values seen are to what is asked for: among equals, the likelier way."""

    flips: tuple[Flip, ...]
    unlike: float = 0.0

    def cost(self) -> tuple[float, float]:
        return len(self.flips), self.unlike


_NOTHING: Final = _Way(())


class _Search:
    def __init__(self, event: Event) -> None:
        self._event = event
        self._records = [record_fields(record) for record in event.records]

    def best(self, condition: Condition, *, wanted: bool, record: Fields | None, key: int) -> _Way | None:
        """The cheapest way to the wanted verdict; None if there is none."""
        if holds(condition, self._event, record) == wanted:
            return _NOTHING
        match condition:
            case Not(part):
                return self.best(part, wanted=not wanted, record=record, key=key)
            case InRecord(part):
                return self._in_record(part, wanted=wanted)
            case And(parts) | Or(parts):
                ways = (self.best(part, wanted=wanted, record=record, key=key) for part in parts)
                return _together(ways) if isinstance(condition, And) == wanted else _cheapest(ways)
            case _:
                return self._turned(condition, wanted=wanted, record=record, key=key)

    def _in_record(self, part: Condition, *, wanted: bool) -> _Way | None:
        ways = (self.best(part, wanted=wanted, record=each, key=key) for key, each in enumerate(self._records))
        return _cheapest(ways) if wanted else _together(ways)

    def _turned(self, leaf: Leaf, *, wanted: bool, record: Fields | None, key: int) -> _Way:
        return _Way((Flip(leaf, wanted, record, key),), self._unlike(leaf, record) if wanted else 0.0)

    def _unlike(self, leaf: Leaf, record: Fields | None) -> float:
        """0 for a value that is nearly what the term asks for, 1 for one that is not, 2 for a missing one."""
        if isinstance(leaf, Keyword):
            return 1.0
        seen = texts(self._event, leaf.field, record)
        return min((_unlike(leaf, text) for text in seen), default=2.0)


def _unlike(leaf: Match, text: str) -> float:
    asked = _literal(leaf)
    if not asked:
        return 1.0
    compared = SequenceMatcher(None, text[:_COMPARED].lower(), asked.lower(), autojunk=False)
    return 1.0 - sum(block.size for block in compared.get_matching_blocks()) / max(len(asked), 1)


def _literal(leaf: Match) -> str:
    match leaf.test:
        case Text(_, value):
            return value[:_COMPARED]
        case Wildcard(parts):
            return max((part for part in parts if isinstance(part, str)), key=len, default="")[:_COMPARED]
        case _:
            return ""


def _cheapest(ways: Iterable[_Way | None]) -> _Way | None:
    return min((way for way in ways if way is not None), key=_Way.cost, default=None)


def _together(ways: Iterable[_Way | None]) -> _Way | None:
    """All ways at once; None if one cannot be gone, or if two ask for opposites."""
    flips: list[Flip] = []
    unlike = 0.0
    for way in ways:
        if way is None:
            return None
        for flip in way.flips:
            twin = next((each for each in flips if each.same(flip)), None)
            if twin is None:
                flips.append(flip)
            elif twin.must_hold != flip.must_hold:
                return None
        unlike += way.unlike
    return _Way(tuple(flips), unlike)
