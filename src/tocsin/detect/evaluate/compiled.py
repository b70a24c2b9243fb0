"""Conditions compiled for columns: each node gives the rows where it holds.

A mask of None means nowhere; most terms of most rules hold nowhere in a batch, and then nothing is computed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, cast

import numpy as np

from tocsin.conditions.literal import relates
from tocsin.detect.evaluate.classified import Mask
from tocsin.detect.evaluate.value_index import ValueIndex
from tocsin.detect.evaluate.view import EventView, View
from tocsin.model.condition import (
    And,
    Condition,
    Field,
    InRecord,
    Keyword,
    Match,
    Not,
    Or,
    Regex,
    SameAs,
    fold,
)

__all__ = ["Compiler", "Node"]


class Node(Protocol):
    """A compiled condition."""

    def mask(self, view: View, among: Mask | None = None) -> Mask | None:
        """The rows where it holds; None if nowhere. Of `among`, if given, only these rows need be right."""
        ...


@dataclass(frozen=True, slots=True)
class _Term:
    """Some text of the field passes one of the tests."""

    field: Field
    index: ValueIndex
    tests: frozenset[int]
    is_regex: bool = False

    def mask(self, view: View, among: Mask | None = None) -> Mask | None:
        classified = view.classified(self.field, self.index)
        return None if classified is None else classified.mask(self.tests, among)


@dataclass(frozen=True, slots=True)
class _Search:
    """Some text of any searched field passes one of the tests."""

    index: ValueIndex
    tests: frozenset[int]

    def mask(self, view: View, among: Mask | None = None) -> Mask | None:
        return _union(each.mask(self.tests, among) for each in view.searched(self.index))


@dataclass(frozen=True, slots=True)
class _Same:
    """Some text of the field relates to some text of the other."""

    field: Field
    test: SameAs

    def mask(self, view: View, among: Mask | None = None) -> Mask | None:
        del among
        pairs = zip(view.texts(self.field), view.texts(self.test.other), strict=True)
        return _some(np.fromiter((self._related(ours, theirs) for ours, theirs in pairs), np.bool_, view.length))

    def _related(self, ours: list[str], theirs: list[str]) -> bool:
        key = str if self.test.cased else fold
        return any(relates(self.test.relation, key(a), key(b)) for a in ours for b in theirs)


@dataclass(frozen=True, slots=True)
class _All:
    parts: tuple[Node, ...]

    def mask(self, view: View, among: Mask | None = None) -> Mask | None:
        found = among
        for part in self.parts:
            mask = part.mask(view, found)
            if mask is None:
                return None
            found = mask if found is None else found & mask
            if not found.any():
                return None
        return np.ones(view.length, np.bool_) if found is None else found


@dataclass(frozen=True, slots=True)
class _Any:
    parts: tuple[Node, ...]

    def mask(self, view: View, among: Mask | None = None) -> Mask | None:
        return _union(part.mask(view, among) for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Opposite:
    part: Node

    def mask(self, view: View, among: Mask | None = None) -> Mask | None:
        mask = self.part.mask(view, among)
        return np.ones(view.length, np.bool_) if mask is None else _some(~mask)


@dataclass(frozen=True, slots=True)
class _SomeRecord:
    part: Node

    def mask(self, view: View, among: Mask | None = None) -> Mask | None:
        records = cast(EventView, view).records
        if records is None:
            return None
        mask = self.part.mask(records, None if among is None else among[records.row])
        return None if mask is None else records.to_events(mask)


def _some(mask: Mask | None) -> Mask | None:
    return mask if mask is not None and mask.any() else None


def _union(masks: Iterable[Mask | None]) -> Mask | None:
    present = [mask for mask in masks if mask is not None]
    return reduce(np.logical_or, present) if present else None


class Compiler:
    """Compiles conditions that share one index of values per field."""

    def __init__(self) -> None:
        self._indexes: dict[Field, ValueIndex] = {}
        self._keywords = ValueIndex()

    def compile(self, condition: Condition) -> Node:
        """The condition as a node; `freeze` before its first use."""
        match condition:
            case And(parts):
                # Cheap parts first: they often hold nowhere, and then the rest is not looked at.
                return _All(tuple(sorted(self._terms(And, parts), key=_cost)))
            case Or(parts):
                return _Any(tuple(self._terms(Or, parts)))
            case Not(part):
                return _Opposite(self.compile(part))
            case InRecord(part):
                return _SomeRecord(self.compile(part))
            case _:
                return self._leaf(condition)

    def _leaf(self, leaf: Match | Keyword) -> Node:
        match leaf:
            case Keyword(test):
                return _Search(self._keywords, frozenset({self._keywords.add(test)}))
            case Match(field, SameAs() as test):
                return _Same(field, test)
            case Match(field, test):
                index = self._indexes.setdefault(field, ValueIndex())
                return _Term(field, index, frozenset({index.add(test)}), isinstance(test, Regex))

    def _terms(self, of: type[And | Or], parts: tuple[Condition, ...]) -> list[Node]:
        nodes = [self.compile(part) for part in _flat(of, parts)]
        return nodes if of is And else _merged(nodes)

    def freeze(self) -> None:
        """Build the indexes; nothing may be compiled after."""
        for index in (*self._indexes.values(), self._keywords):
            index.freeze()


def _flat(of: type[And | Or], parts: tuple[Condition, ...]) -> Iterable[Condition]:
    for part in parts:
        if isinstance(part, of):
            yield from _flat(of, part.parts)
        else:
            yield part


def _merged(nodes: list[Node]) -> list[Node]:
    """Alternatives on one field as one term."""
    tests: dict[tuple[object, int], frozenset[int]] = {}
    first: dict[tuple[object, int], Node] = {}
    for node in nodes:
        key = _target(node)
        first.setdefault(key, node)
        if isinstance(node, _Term | _Search):
            tests[key] = tests.get(key, frozenset()) | node.tests
    return [_with_tests(node, tests[key]) if key in tests else node for key, node in first.items()]


def _target(node: Node) -> tuple[object, int]:
    if isinstance(node, _Term):
        return (node.field, id(node.index))
    return (None, id(node.index if isinstance(node, _Search) else node))


def _with_tests(node: Node, tests: frozenset[int]) -> Node:
    if isinstance(node, _Term):
        return _Term(node.field, node.index, tests, node.is_regex)
    return _Search(node.index, tests) if isinstance(node, _Search) else node


_COSTS = {_Term: 0, _All: 1, _Any: 1, _SomeRecord: 2, _Opposite: 3, _Search: 4, _Same: 5}


def _cost(node: Node) -> int:
    # Regular expressions last: most have nothing to scan for and are judged value by value.
    return _COSTS[type(node)] + (6 if isinstance(node, _Term) and node.is_regex else 0)
