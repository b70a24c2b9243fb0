"""Tests on one field that are alternatives, as one function of a text, and over many values at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.conditions.literal import address, judge, regex_source
from tocsin.detect.evaluate.cells import Column, Mask
from tocsin.detect.evaluate.witness import shortest_match
from tocsin.model.condition import Cidr, Exists, Regex, Relation, Test, Text, fold

__all__ = ["Alternatives", "Passes"]

Passes = Callable[[str], bool]
_MANY: Final = 8  # values from which on Arrow's loop over them is worth the call


class Alternatives:
    """Some of the tests: those of the folded text, and those of the text as it is.

    folded, plain: None where there is no such test.
    """

    def __init__(self, tests: Iterable[Test]) -> None:
        others = [test for test in tests if not _minds_no_case(test)]
        self._regexes = [(regex_source(test), shortest_match(test)) for test in others if isinstance(test, Regex)]
        self._rest = _some(_of_others([test for test in others if not isinstance(test, Regex)]))
        self.folded: Final = _some(_of_literals([test for test in tests if _minds_no_case(test)]))
        self.plain: Final = _some(_of_others(others))

    def judged(self, column: Column, codes: Sequence[int]) -> Mask:
        """Of the column's values at these places, which pass."""
        passed = np.zeros(len(codes), np.bool_)
        if self.folded is not None:
            passed |= [self.folded(column.folded_at(code)) for code in codes]
        plain = self.plain if len(codes) < _MANY else self._rest
        if plain is not None:
            passed |= [plain(column.text_at(code)) for code in codes]
        if self._regexes and len(codes) >= _MANY:
            passed |= self._searched(column.values.take(pa.array(codes, pa.int64())))
        return passed

    def _searched(self, texts: pa.StringArray) -> Mask:
        """The same RE2 as `judge`'s, without a call per value."""
        lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        passed = np.zeros(len(texts), np.bool_)
        for pattern, shortest in self._regexes:
            worth = np.flatnonzero(~passed & (lengths >= shortest))
            if len(worth):
                found = pc.match_substring_regex(texts.take(pa.array(worth)), pattern)
                passed[worth] = found.to_numpy(zero_copy_only=False)
        return passed


def _minds_no_case(test: Test) -> TypeGuard[Text]:
    return isinstance(test, Text) and not test.cased


def _some(parts: list[Passes]) -> Passes | None:
    if len(parts) < 2:  # noqa: PLR2004 - none or one
        return parts[0] if parts else None
    return lambda text: any(part(text) for part in parts)


def _of_literals(tests: Iterable[Text]) -> list[Passes]:
    literals: dict[Relation, list[str]] = {}
    for test in tests:
        literals.setdefault(test.relation, []).append(fold(test.value))
    return [_OF_RELATION[relation](literals[relation]) for relation in _OF_RELATION if relation in literals]


def _containing(literals: list[str]) -> Passes:
    if len(literals) == 1:
        (only,) = literals
        return lambda text: only in text

    def passes(text: str) -> bool:
        for literal in literals:  # noqa: SIM110 - a generator would take twice as long
            if literal in text:
                return True
        return False

    return passes


def _starting(literals: list[str]) -> Passes:
    starts = tuple(literals)
    return lambda text: text.startswith(starts)


def _ending(literals: list[str]) -> Passes:
    ends = tuple(literals)
    return lambda text: text.endswith(ends)


# The cheapest first.
_OF_RELATION: Final[dict[Relation, Callable[[list[str]], Passes]]] = {
    Relation.EQUALS: lambda literals: frozenset(literals).__contains__,
    Relation.STARTSWITH: _starting,
    Relation.ENDSWITH: _ending,
    Relation.CONTAINS: _containing,
}


def _of_others(tests: Iterable[Test]) -> list[Passes]:
    networks = [test.network for test in tests if isinstance(test, Cidr)]
    if any(isinstance(test, Exists) for test in tests):
        return [lambda _: True]
    judges = [_one(test) for test in tests if not isinstance(test, Cidr)]
    return [*judges, _in_networks(networks)] if networks else judges


def _one(test: Test) -> Passes:
    passes = judge(test)
    shortest = shortest_match(test) if isinstance(test, Regex) else 0
    return (lambda text: len(text) >= shortest and passes(text)) if shortest else passes


def _in_networks(networks: Iterable[str]) -> Passes:
    """The same as a test for each, but an address is parsed once, for all rules."""
    ranges = []
    for network in networks:
        parsed = ipaddress.ip_network(network, strict=False)
        ranges.append((parsed.version, int(parsed.netmask), int(parsed.network_address)))

    def passes(text: str) -> bool:
        version, number = _parsed(text)
        return any(version == of and number & mask == start for of, mask, start in ranges)

    return passes


@lru_cache(maxsize=65_536)
def _parsed(text: str) -> tuple[int, int]:
    found = address(text)
    return (0, 0) if found is None else (found.version, int(found))
