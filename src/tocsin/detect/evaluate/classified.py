"""A field's values over many rows, and the judgement of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.detect.evaluate.value_index import ValueIndex

__all__ = ["Classified", "Codes", "Column", "Mask"]

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Column:
    """Texts of a field: entry i is `values[codes[i]]`, missing if the code is -1.

    rows: the row of each entry where a row may have several, else None: entry i is row i's.
    """

    values: Sequence[str | None]
    codes: Codes
    rows: Codes | None = None


class Classified:
    """A column and the judgement of its values, as far as somebody asked: which tests each value passes.

    Values are judged when a row that has them is asked for, so that a rule's second term costs nothing for rows in
    which its first does not hold.
    """

    def __init__(self, column: Column, index: ValueIndex, length: int) -> None:
        self._column, self._index, self._length = column, index, length
        # The class of each value, numbered here; code -1, a missing text, takes the last place. What is not judged yet
        # is of class 0, which passes nothing.
        self._classes = np.zeros(len(column.values) + 1, np.intp)
        self._judged = np.zeros(len(column.values) + 1, np.bool_)
        self._members: dict[frozenset[int], int] = {frozenset(): 0}
        self._passed: frozenset[int] = frozenset()
        self._asked: dict[int, Mask] = {}
        self._masks: dict[frozenset[int], Mask | None] = {}
        self._whole = False

    def mask(self, tests: frozenset[int], among: Mask | None = None) -> Mask | None:
        """The rows of which some text passes one of the tests; None if there are none.

        Of `among`, if given, only these rows need be right.
        """
        self._judge(among)
        lazy = tests & self._index.lazy
        if not lazy and tests.isdisjoint(self._passed):
            return None
        if lazy or not self._whole:
            return self._mask(tests, lazy, among)
        if tests not in self._masks:
            self._masks[tests] = self._mask(tests, lazy, among)
        return self._masks[tests]

    def _mask(self, tests: frozenset[int], lazy: frozenset[int], among: Mask | None) -> Mask | None:
        holds = np.array([not tests.isdisjoint(passed) for passed in self._members])
        entries: Mask = holds[self._classes][self._column.codes]
        if lazy:
            entries |= self._judged_lazily(lazy, np.unique(self._codes(among)))[self._column.codes]
        if not entries.any():
            return None
        if self._column.rows is None:
            return entries
        rows = np.zeros(self._length, np.bool_)
        rows[self._column.rows[entries]] = True
        return rows

    def _judge(self, among: Mask | None) -> None:
        """Judge the values of these rows, or of all, if that has not been done."""
        if self._whole or id(among) in self._asked:
            return
        if among is None:
            self._whole = True
        else:
            self._asked[id(among)] = among  # kept, so that its id stays its own
        wanted = np.zeros(len(self._classes), np.bool_)
        wanted[self._codes(among)] = True
        wanted[-1] = False
        fresh = np.flatnonzero(wanted & ~self._judged)
        self._judged |= wanted
        values = self._column.values
        members, numbers = self._index.members_of([values[code] for code in fresh.tolist()])
        local = [self._members.setdefault(passed, len(self._members)) for passed in members]
        self._classes[fresh] = np.array(local, np.intp)[numbers]
        self._passed = self._passed.union(*members)

    def _codes(self, among: Mask | None) -> Codes:
        column = self._column
        if among is None:
            return column.codes
        return column.codes[among if column.rows is None else among[column.rows]]

    def _judged_lazily(self, lazy: frozenset[int], codes: Codes) -> Mask:
        """By code, whether the value passes one of the lazy tests; judged for these codes only."""
        values, passes = self._column.values, self._index.passes_lazy
        judged = np.zeros(len(values) + 1, np.bool_)
        for code in codes.tolist():
            value = values[code] if code >= 0 else None
            judged[code] = value is not None and any(passes(test, value) for test in lazy)
        return judged
