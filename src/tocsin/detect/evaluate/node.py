"""Conditions compiled to judge one row, or many rows at once; used where a rule's keys were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, cast

import numpy as np

from tocsin.conditions.literal import relates
from tocsin.detect.evaluate.cells import NOTHING, Column, Mask, Rows
from tocsin.detect.evaluate.text_tests import Alternatives
from tocsin.detect.evaluate.view import EventView, RecordView, View
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
    Relation,
    SameAs,
    Test,
    Text,
)

__all__ = ["Node", "compiled", "every", "parts_of"]

_SEPARATOR: Final = "\0"
# So many rows are judged together: by columns of records that are built for it.
_MANY: Final = 512


class Node(Protocol):
    """A compiled condition."""

    def holds(self, view: View, row: int) -> bool:
        """Does it hold in that row?"""
        ...

    def among(self, view: View, rows: Rows) -> Mask:
        """In which of the rows, which are not none, does it hold?"""
        ...


def compiled(condition: Condition) -> Node:  # noqa: PLR0911 - one per kind
    """The condition as a node."""
    match condition:
        case And(parts):
            return every([compiled(part) for part in parts_of(condition)])
        case Or(parts):
            return _some(_alternatives(parts))
        case Not(part):
            return _Opposite(compiled(part))
        case InRecord(part):
            return _SomeRecord(compiled(part))
        case Match(field, SameAs() as test):
            return _Same(field, test)
        case Match(field, test):
            return _Term(field, [test])
        case Keyword(test):
            return _Search([test])


def parts_of(condition: Condition) -> list[Condition]:
    """What must all hold, the cheapest first."""
    return sorted(_flat(And, (condition,)), key=_cost)


def every(parts: Sequence[Node]) -> Node:
    """All parts hold, judged in that order."""
    return parts[0] if len(parts) == 1 else _All(parts)


def _some(parts: Sequence[Node]) -> Node:
    return parts[0] if len(parts) == 1 else _Any(parts)


class _All:
    def __init__(self, parts: Sequence[Node]) -> None:
        self._parts = parts
        self._holds = [part.holds for part in parts]

    def holds(self, view: View, row: int) -> bool:
        for holds in self._holds:  # noqa: SIM110 - a generator would take twice as long
            if not holds(view, row):
                return False
        return True

    def among(self, view: View, rows: Rows) -> Mask:
        left = np.arange(len(rows))
        for part in self._parts:
            if not len(left):
                break
            left = left[part.among(view, rows[left])]
        mask = np.zeros(len(rows), np.bool_)
        mask[left] = True
        return mask


class _Any:
    def __init__(self, parts: Sequence[Node]) -> None:
        self._parts = parts
        self._holds = [part.holds for part in parts]

    def holds(self, view: View, row: int) -> bool:
        for holds in self._holds:  # noqa: SIM110 - a generator would take twice as long
            if holds(view, row):
                return True
        return False

    def among(self, view: View, rows: Rows) -> Mask:
        mask = np.zeros(len(rows), np.bool_)
        for part in self._parts:
            left = np.flatnonzero(~mask)
            if not len(left):
                break
            mask[left] = part.among(view, rows[left])
        return mask


class _Opposite:
    def __init__(self, part: Node) -> None:
        self._part = part

    def holds(self, view: View, row: int) -> bool:
        return not self._part.holds(view, row)

    def among(self, view: View, rows: Rows) -> Mask:
        return ~self._part.among(view, rows)


class _OneByOne:
    """A node that knows no better way for many rows."""

    def holds(self, view: View, row: int) -> bool:
        raise NotImplementedError

    def among(self, view: View, rows: Rows) -> Mask:
        return np.array([self.holds(view, row) for row in rows.tolist()], np.bool_)


class _SomeRecord(_OneByOne):
    def __init__(self, part: Node) -> None:
        self._part = part

    def holds(self, view: View, row: int) -> bool:
        records = cast(EventView, view).records
        return records is not None and any(self._part.holds(records, record) for record in records.of(row))

    def among(self, view: View, rows: Rows) -> Mask:
        records = cast(EventView, view).records
        if len(rows) < _MANY or records is None:
            return super().among(view, rows)
        numbers, owners = records.of_many(rows)
        mask = np.zeros(len(rows), np.bool_)
        if not len(numbers):
            return mask
        mask[owners[self._part.among(records, numbers)]] = True
        return mask


class _Same(_OneByOne):
    """Some text of the field relates to some text of the other."""

    def __init__(self, field: Field, test: SameAs) -> None:
        self._field, self._test = field, test

    def holds(self, view: View, row: int) -> bool:
        test = self._test
        ours, theirs = view.cells(self._field), view.cells(test.other)
        pairs = (ours.texts(row), theirs.texts(row)) if test.cased else (ours.folded(row), theirs.folded(row))
        return any(relates(test.relation, a, b) for a in pairs[0] for b in pairs[1])


class _Term(_OneByOne):
    """Some text of the field passes one of the tests."""

    def __init__(self, field: Field, tests: Sequence[Test]) -> None:
        self._field, self._path = field, field.full_path
        self._tests = Alternatives(tests)
        self._folded, self._plain = self._tests.folded, self._tests.plain

    def holds(self, view: View, row: int) -> bool:
        cells = view.get(self._path) or view.cells(self._field)
        if self._folded is not None:
            for text in cells.folded(row):
                if self._folded(text):
                    return True
        if self._plain is not None:
            for text in cells.texts(row):
                if self._plain(text):
                    return True
        return False

    def among(self, view: View, rows: Rows) -> Mask:
        cells = view.cells(self._field)
        if isinstance(view, RecordView) and len(rows) >= _MANY:
            cells = view.whole(self._field)
        if cells is NOTHING:
            return np.zeros(len(rows), np.bool_)
        if not isinstance(cells, Column) or cells.rows is not None:
            return super().among(view, rows)
        codes = cells.codes[rows]
        verdicts = np.zeros(len(cells.values) + 1, np.bool_)
        verdicts[codes] = True
        verdicts[-1] = False  # of what is missing, code -1
        distinct = np.flatnonzero(verdicts)
        if len(distinct):
            verdicts[distinct] = self._tests.judged(cells, distinct.tolist())
        return verdicts[codes]


class _Search(_OneByOne):
    """Some text of any searched field passes one of the tests."""

    def __init__(self, tests: Sequence[Test]) -> None:
        alternatives = Alternatives(tests)
        self._folded, self._plain = alternatives.folded, alternatives.plain
        # A literal that is in all texts of a row, put together, is in one of them; the empty one needs a text to be in.
        self._at_once = all(
            isinstance(test, Text)
            and test.relation is Relation.CONTAINS
            and test.value
            and _SEPARATOR not in test.value
            for test in tests
        )

    def holds(self, view: View, row: int) -> bool:
        folded, plain = self._folded, self._plain
        if self._at_once and folded is not None:
            return folded(view.searched_joined(row))
        return any(
            (folded is not None and any(map(folded, cells.folded(row))))
            or (plain is not None and any(map(plain, cells.texts(row))))
            for cells in view.searched()
        )


def _alternatives(parts: Iterable[Condition]) -> list[Node]:
    """Alternatives on one field as one term, and all others; plain tests first."""
    terms: dict[Field, list[Test]] = {}
    keywords: list[Test] = []
    others: list[Condition] = []
    for part in _flat(Or, parts):
        match part:
            case Keyword(test):
                keywords.append(test)
            case Match(field, test) if not isinstance(test, SameAs):
                terms.setdefault(field, []).append(test)
            case _:
                others.append(part)
    return [
        *(_Term(field, tests) for field, tests in terms.items()),
        *map(compiled, sorted(others, key=_cost)),
        *([_Search(keywords)] if keywords else []),
    ]


def _flat(of: type[And | Or], parts: Iterable[Condition]) -> Iterable[Condition]:
    for part in parts:
        if isinstance(part, of):
            yield from _flat(of, part.parts)
        else:
            yield part


def _cost(condition: Condition) -> int:
    """Cheap parts first: they often decide, and then the rest is not looked at."""
    match condition:
        case Match(_, SameAs() | Regex()):
            return 5
        case Match():
            return 0
        case And(parts) | Or(parts):
            return 1 + max(map(_cost, parts), default=0)
        case Not(part):
            return 1 + _cost(part)
        case InRecord(part):
            return 3 + _cost(part)
        case _:
            return 4
