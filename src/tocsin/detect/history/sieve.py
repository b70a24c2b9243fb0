"""Which stored rows a rule can match at all, by what is known of their texts without reading them.

A rule's keys are what an event must hold (`evaluate.key`); where no row of a group holds one that is needed, no row of
the group need be read. What is not known is taken for held.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import and_, or_
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from tocsin.columnar import grams
from tocsin.conditions.following import FOLLOWING
from tocsin.detect.evaluate.key import Key, Keys, Look, Needed, NeedsAll
from tocsin.model.condition import SOURCE, Scope, keyword_paths
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES
from tocsin.ports import Piece

__all__ = ["Sieve", "Sifted", "sift"]

_Mask = npt.NDArray[np.bool_]
_Places = npt.NDArray[np.uint32]
# Of these places all must be set; of several such alternatives, one.
_Alternatives = list[_Places]

_UNKNOWN: Final = np.array([grams.ALWAYS], np.uint32)
_EXACT: Final = 2**53  # beyond it, different integers are the same float


class Sifted(msgspec.Struct, frozen=True, eq=False):
    """Stored rows with the rules that may match some of them."""

    piece: Piece
    rules: tuple[Rule, ...]

    def __len__(self) -> int:
        return len(self.piece)


def sift(rules: Sequence[Rule], pieces: Iterable[Piece]) -> list[Sifted]:
    """Each piece with the rules of its class that may match some of its rows, in their order."""
    of_class: dict[int, tuple[list[Rule], Sieve]] = {}
    return [Sifted(piece, tuple(_left(rules, piece, of_class))) for piece in pieces]


def _left(rules: Sequence[Rule], piece: Piece, of_class: dict[int, tuple[list[Rule], Sieve]]) -> Iterator[Rule]:
    class_uid = piece.class_uid
    if class_uid not in of_class:
        judging = [rule for rule in rules if class_uid in rule.class_uids]
        of_class[class_uid] = judging, Sieve(judging, class_uid)
    judging, sieve = of_class[class_uid]
    left: list[bool] = np.any(sieve.left(piece.grams()), axis=0).tolist()
    return itertools.compress(judging, left)


class Sieve:
    """Rules over groups of rows of one class."""

    def __init__(self, rules: Sequence[Rule], class_uid: int) -> None:
        keys = Keys()
        self._needed = [keys.needed(rule.condition) for rule in rules]
        alternatives = [_alternatives(key, class_uid) for key in keys.all] or [[_UNKNOWN]]
        flat = [each for of_key in alternatives for each in of_key]
        self._places = np.concatenate(flat)
        self._starts = _starts(flat)
        self._starts_of_keys = _starts(alternatives)

    def left(self, groups: Sequence[bytes]) -> _Mask:
        """By group and rule: can the rule match a row of the group? Of each group what `columnar.grams` says."""
        held = np.array([self._held(group) for group in groups]).reshape(len(groups), -1)
        return np.array([_holds(needed, held) for needed in self._needed]).reshape(-1, len(groups)).T

    def _held(self, group: bytes) -> _Mask:
        """The keys that a group may hold."""
        if not group:
            return np.ones(len(self._starts_of_keys), np.bool_)
        found = grams.present(grams.bits_of(group), self._places)
        whole = np.logical_and.reduceat(found, self._starts)
        held: _Mask = np.logical_or.reduceat(whole, self._starts_of_keys)
        return held


def _starts(parts: Iterable[Sequence[object] | _Places]) -> npt.NDArray[np.int64]:
    lengths = np.array([len(part) for part in parts], np.int64)
    starts: npt.NDArray[np.int64] = np.cumsum(lengths) - lengths
    return starts


def _holds(needed: Needed, held: _Mask) -> _Mask:
    """By group: is what is needed held?"""
    if isinstance(needed, int):
        of_key: _Mask = held[:, needed]
        return of_key
    parts = [_holds(part, held) for part in needed.parts]
    whole = isinstance(needed, NeedsAll)
    return reduce(and_ if whole else or_, parts, np.full(len(held), whole))


def _alternatives(key: Key, class_uid: int) -> _Alternatives:
    """What must be set for a row to have the key; never nothing."""
    field = key.field
    if key.in_record:
        return _text(key, grams.IN_RECORDS)
    if field is None:
        attributes = (_attribute(key, path, class_uid) for path in keyword_paths(class_uid))
        return [_any_text(SOURCE), *itertools.chain.from_iterable(attributes)]
    match field.scope:
        case Scope.SOURCE:
            return [_any_text(SOURCE)]
        case Scope.RECORD:
            return _text(key, grams.record_path(field.path))
        case _:
            return _attribute(key, field.path, class_uid)


def _attribute(key: Key, path: str, class_uid: int) -> _Alternatives:
    other = path in CLASSES[class_uid].paths and path not in grams.text_paths(class_uid)
    # What no event of the class has is in no row: nothing is set for it.
    return [_UNKNOWN] if other or path in FOLLOWING else _text(key, path)


def _any_text(path: str) -> _Places:
    return np.array([grams.place(path)], np.uint32)


def _text(key: Key, path: str) -> _Alternatives:
    some = _any_text(path)
    literal = key.literal.encode()
    match key.look:
        case Look.NUMBER:
            return [np.append(some, each) for each in _number(float(key.literal), path)]
        case Look.PRESENT:
            wanted = b""
        case Look.CONTAINS:
            wanted = literal
        case Look.STARTSWITH:
            wanted = b"\0" + literal
        case Look.ENDSWITH:
            wanted = literal + b"\0"
        case Look.EQUALS:
            wanted = b"\0" + literal + b"\0"
    return [np.append(some, _places(path, wanted))]


def _number(number: float, path: str) -> _Alternatives:
    if not number.is_integer() or abs(number) >= _EXACT:
        return [_any_text(path)]
    plain = _places(path, b"\0%d\0" % int(number))
    return [plain, np.array([grams.place_of_unplain(path)], np.uint32)]


def _places(path: str, text: bytes) -> _Places:
    return grams.places(path, text) if len(text) >= grams.LENGTH else np.array([], np.uint32)
