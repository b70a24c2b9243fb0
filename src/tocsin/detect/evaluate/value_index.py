"""Judge distinct values once: which tests of all rules does a value pass?

All literals of all tests on a field are found in one scan (Aho-Corasick over the folded values, all new values of a
batch at once); equality is a hash look-up. The set of tests that a value passes is its *class*; the values of thousands
of events fall into few classes. A test with nothing to scan for is *lazy*: judged only when a rule asks, which it does
after its other terms have held.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final

import ahocorasick_rs as aho

from tocsin.conditions.literal import address, in_network, judge, number, satisfies
from tocsin.detect.evaluate.witness import witness
from tocsin.model.condition import NUMBER, Cidr, Exists, Number, Relation, Test, Text, fold

__all__ = ["NO_TEXT", "ValueIndex"]

NO_TEXT: Final = 0  # the class of a missing value: passes nothing
_CACHED_VALUES: Final = 50_000
_CACHED_CHARACTERS: Final = 4_000_000
_SHORTEST_LITERAL: Final = 2  # a single character occurs nearly everywhere
_SEPARATOR: Final = "\0"
_ADDRESS_STARTS: Final = frozenset("0123456789abcdefABCDEF:")
_NONE: Final[frozenset[int]] = frozenset()
_Judge = Callable[[str], bool]


class ValueIndex:
    """Tests on one field, numbered in the order they were added; `freeze` before the first value is classified."""

    def __init__(self) -> None:
        self._tests: dict[Test, int] = {}
        self._forget()
        self.lazy: frozenset[int] = frozenset()  # tests that are in no class
        self._judges: dict[int, tuple[_Judge, dict[str, bool]]] = {}
        self._always: set[int] = set()
        self._equal: dict[str, list[int]] = {}
        self._networks: list[tuple[int, str]] = []
        self._numbers: list[tuple[int, Number]] = []
        self._literals: dict[str, list[tuple[int, Relation | _Judge]]] = {}

    def _forget(self) -> None:
        self._cached: dict[str, int] = {}
        self._cached_characters = 0
        self._classes: dict[frozenset[int], int] = {frozenset(): NO_TEXT}
        self.members: list[frozenset[int]] = [frozenset()]  # by class: the tests that its values pass

    def add(self, test: Test) -> int:
        """The number of a test; the same for equal tests."""
        return self._tests.setdefault(test, len(self._tests))

    def freeze(self) -> None:
        """Build the automaton and tables; no test may be added after."""
        for test, at in self._tests.items():
            self._place(test, at)
        self.lazy = frozenset(self._judges)
        # The order is the automaton's numbering.
        self._found = list(self._literals.values())
        self._automaton = aho.AhoCorasick(list(self._literals), implementation=aho.Implementation.DFA)
        self._scanned = {
            test: (literal, condition if not isinstance(condition, Relation) else None)
            for literal, tests in enumerate(self._found)
            for test, condition in tests
            if condition not in {Relation.STARTSWITH, Relation.ENDSWITH}
        }

    def _place(self, test: Test, at: int) -> None:
        match test:
            case Exists():
                self._always.add(at)
            case Cidr(network):
                self._networks.append((at, network))
            case Number():
                self._numbers.append((at, test))
            case Text(Relation.EQUALS, value, cased=False):
                self._equal.setdefault(fold(value), []).append(at)
            case Text(relation, value, cased=False) if _scannable(fold(value)):
                self._literals.setdefault(fold(value), []).append((at, relation))
            case _:
                self._place_judged(test, at)

    def _place_judged(self, test: Test, at: int) -> None:
        """A test that only its own judgement decides: tried where its witness occurs, or when asked."""
        literal = witness(test)
        if _scannable(literal):
            self._literals.setdefault(literal, []).append((at, judge(test)))
        else:
            self._judges[at] = (judge(test), {})

    @property
    def scanned(self) -> dict[int, tuple[int, _Judge | None]]:
        """The tests that a literal anywhere in the text decides, or leads to: the literal, and what must confirm it."""
        return self._scanned

    def find(self, folded: str) -> list[tuple[int, int, int]]:
        """Every occurrence of a literal in a folded text: (literal, start, end)."""
        found: list[tuple[int, int, int]] = self._automaton.find_matches_as_indexes(folded, overlapping=True)
        return found

    def passes_lazy(self, at: int, value: str) -> bool:
        """Does the value pass that lazy test?"""
        judged, known = self._judges[at]
        if len(known) > _CACHED_VALUES:
            known.clear()
        found = known.get(value)
        if found is None:
            found = known[value] = judged(value)
        return found

    def classify(self, values: Sequence[str | None]) -> list[int]:
        """The class of each value, good until the next call; values seen before are not looked at again."""
        if len(self._cached) > _CACHED_VALUES or self._cached_characters > _CACHED_CHARACTERS:
            self._forget()
        cached = self._cached
        fresh = [value for value in values if value is not None and value not in cached]
        if fresh:
            cached.update(zip(fresh, self._classify(fresh), strict=True))
            self._cached_characters += sum(map(len, fresh))
        return [NO_TEXT if value is None else cached[value] for value in values]

    def members_of(self, values: Sequence[str | None]) -> tuple[list[frozenset[int]], list[int]]:
        """The classes of the values as the tests they pass, each once, and for each value the place of its class."""
        numbers = self.classify(values)
        places = {number: place for place, number in enumerate(dict.fromkeys(numbers))}
        return [self.members[number] for number in places], [places[number] for number in numbers]

    def _classify(self, values: Sequence[str]) -> list[int]:
        """Most values hold no literal, equal none and are no number: they are all of one class."""
        folded, found = self._scan(values)
        equal = self._equal
        special = found.keys() | {at for at, text in enumerate(folded) if text in equal}
        if self._numbers:
            special |= {at for at, value in enumerate(values) if NUMBER.fullmatch(value)}
        if self._networks:
            special |= {at for at, value in enumerate(values) if value[:1] in _ADDRESS_STARTS}
        classes = [self._class_of(frozenset(self._always))] * len(values)
        for at in special:
            passed = self._always | found.get(at, _NONE)
            passed.update(equal.get(folded[at], ()), self._amounts(values[at]))
            classes[at] = self._class_of(frozenset(passed))
        return classes

    def _class_of(self, passed: frozenset[int]) -> int:
        known = self._classes.get(passed)
        if known is None:
            known = self._classes[passed] = len(self.members)
            self.members.append(passed)
        return known

    def _amounts(self, value: str) -> Iterator[int]:
        if self._networks and (found := address(value)) is not None:
            yield from (at for at, network in self._networks if in_network(found, network))
        if self._numbers and (amount := number(value)) is not None:
            yield from (at for at, test in self._numbers if satisfies(test, amount))

    def _scan(self, values: Sequence[str]) -> tuple[list[str], dict[int, set[int]]]:
        """The values folded, and by position the tests that literals found in them decide."""
        text = fold(_SEPARATOR.join(values))
        folded = text.split(_SEPARATOR)
        if len(folded) != len(values):
            return self._scan_singly(values)
        # Folding keeps lengths, so a place in the text is a place in a value.
        starts = [0, *accumulate(map((1).__add__, map(len, values)))]
        found: dict[int, set[int]] = {}
        for literal, start, end in self.find(text):
            at = bisect_right(starts, start) - 1
            self._decide(literal, values[at], (start == starts[at], end == starts[at + 1] - 1), found, at)
        return folded, found

    def _scan_singly(self, values: Sequence[str]) -> tuple[list[str], dict[int, set[int]]]:
        """The same where some value holds the separator."""
        folded = [fold(value) for value in values]
        found: dict[int, set[int]] = {}
        for at, text in enumerate(folded):
            for literal, start, end in self.find(text):
                self._decide(literal, values[at], (start == 0, end == len(text)), found, at)
        return folded, found

    def _decide(self, literal: int, value: str, edges: tuple[bool, bool], found: dict[int, set[int]], at: int) -> None:
        passed = found.setdefault(at, set())
        for test, condition in self._found[literal]:
            if test not in passed and _confirmed(condition, value, *edges):
                passed.add(test)


def _scannable(literal: str) -> bool:
    return len(literal) >= _SHORTEST_LITERAL and _SEPARATOR not in literal


def _confirmed(condition: Relation | _Judge, value: str, at_start: bool, at_end: bool) -> bool:  # noqa: FBT001 - the two edges, in their order
    if condition is Relation.CONTAINS:
        return True
    if condition is Relation.STARTSWITH:
        return at_start
    if condition is Relation.ENDSWITH:
        return at_end
    return not isinstance(condition, Relation) and condition(value)
