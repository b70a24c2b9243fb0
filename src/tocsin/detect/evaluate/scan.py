"""Look for many literals in all values of a column at once (Aho-Corasick over the column's own bytes)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final, TypeVar

import ahocorasick_rs as aho
import numpy as np

from tocsin.conditions.literal import number
from tocsin.detect.evaluate.cells import Column, Haystack, Mask, Places, Rows
from tocsin.detect.evaluate.key import SHORTEST_SCANNED, Key, Look

__all__ = ["FieldScan", "Found", "LiteralScan", "SearchScan", "is_looked_up"]

Found = dict[int, Rows]  # by the number of a key, the rows that have it
_LONGEST_NUMBER: Final = 41  # sign, 20 digits, point, 19 digits
_STARTS_NUMBER: Final = np.isin(np.arange(256), np.frombuffer(b"-0123456789", np.uint8))  # by byte
_SMALL: Final = 500  # literals
_FEW: Final = 24  # occurrences that are looked at one by one
_Edge = TypeVar("_Edge", bool, Mask)
_REMEMBERED: Final = 50_000


class LiteralScan:
    """An automaton of folded literals, each standing for some keys."""

    def __init__(self, keys: Iterable[tuple[int, str, Look]]) -> None:
        self._keys: dict[bytes, list[tuple[int, Look]]] = {}
        for at, literal, look in keys:
            self._keys.setdefault(literal.encode(), []).append((at, look))
        self._of_pattern: Final = list(self._keys.values())
        # A large DFA takes ten times as long to build and is no faster, as it fits into no cache; a small one is.
        small = len(self._keys) <= _SMALL
        implementation = aho.Implementation.DFA if small else aho.Implementation.ContiguousNFA
        self._automaton = aho.BytesAhoCorasick(list(self._keys), implementation=implementation)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def occurrences(self, haystack: Haystack) -> dict[int, Places]:
        """By key, the places of the values in which its literal is as it should be."""
        found = self._found(haystack.text)
        if not found:
            return {}
        patterns, starts, ends = np.fromiter(chain.from_iterable(found), np.int64, 3 * len(found)).reshape(-1, 3).T
        offsets = haystack.offsets
        at = np.searchsorted(offsets, starts, side="right") - 1
        # The values lie end to end: what runs over an end is no occurrence.
        edges = (ends <= offsets[at + 1], starts == offsets[at], ends == offsets[at + 1])
        if len(found) <= _FEW:
            return self._few(patterns.tolist(), at.tolist(), np.array(edges).T.tolist())
        return self._many(patterns, at, edges)

    def _found(self, text: bytes) -> list[tuple[int, int, int]]:
        """Pattern, start and end of each occurrence."""
        found: list[tuple[int, int, int]] = self._automaton.find_matches_as_indexes(text, overlapping=True)
        return found

    def _few(self, patterns: list[int], at: list[int], edges: list[list[bool]]) -> dict[int, Places]:
        hits: dict[int, list[int]] = {}
        for pattern, place, (within, at_start, at_end) in zip(patterns, at, edges, strict=True):
            for key, look in self._of_pattern[pattern]:
                if _fits(look, within, at_start, at_end):
                    hits.setdefault(key, []).append(place)
        return {key: np.array(places) for key, places in hits.items()}

    def _many(self, patterns: Places, at: Places, edges: tuple[Mask, Mask, Mask]) -> dict[int, Places]:
        order = np.argsort(patterns, kind="stable")
        distinct, first = np.unique(patterns[order], return_index=True)
        hits: dict[int, Places] = {}
        for pattern, places in zip(distinct.tolist(), np.split(order, first[1:]), strict=True):
            for key, look in self._of_pattern[pattern]:
                fitting = places[_fits(look, *(edge[places] for edge in edges))]
                if len(fitting):
                    hits[key] = np.concatenate((hits[key], at[fitting])) if key in hits else at[fitting]
        return hits


def _fits(look: Look, within: _Edge, at_start: _Edge, at_end: _Edge) -> _Edge:  # of one occurrence, or of many
    if look is Look.CONTAINS:
        return within
    if look is Look.STARTSWITH:
        return within & at_start
    return at_end if look is Look.ENDSWITH else at_end & at_start


class FieldScan:
    """Keys of one field, looked for in the distinct values of a column."""

    def __init__(self, keys: Mapping[int, Key]) -> None:
        looked_up = {at: key for at, key in keys.items() if is_looked_up(key)}
        self._present = [at for at, key in keys.items() if key.look is Look.PRESENT]
        self._scan = LiteralScan(
            (at, key.literal, key.look)
            for at, key in keys.items()
            if at not in looked_up and key.look is not Look.PRESENT
        )
        self._short: dict[bytes, list[int]] = {}
        self._numbers: dict[float, list[int]] = {}
        for at, key in looked_up.items():
            if key.look is Look.NUMBER:
                self._numbers.setdefault(float(key.literal), []).append(at)
            else:
                self._short.setdefault(key.literal.encode(), []).append(at)
        self._known: dict[bytes, tuple[int, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._present or self._scan or self._short or self._numbers)

    def find(self, column: Column) -> Found:
        """The rows that have each key; keys that none has are left out."""
        found = {at: column.present() for at in self._present}
        haystack = column.haystack
        values = self._scan.occurrences(haystack) if self._scan else {}
        if self._short or self._numbers:
            values |= self._looked_up(haystack)
        return found | column.rows_of_each(values)

    def _looked_up(self, haystack: Haystack) -> dict[int, Places]:
        values: dict[int, list[int]] = {}
        known = self._known
        if len(known) > _REMEMBERED:
            known.clear()
        text, offsets = haystack.text, haystack.offsets
        for value in self._worth_a_look(haystack).tolist():
            raw = text[offsets[value] : offsets[value + 1]]
            keys = known.get(raw)
            if keys is None:
                keys = known[raw] = tuple(self._keys_of(raw))
            for at in keys:
                values.setdefault(at, []).append(value)
        return {at: np.array(codes) for at, codes in values.items()}

    def _worth_a_look(self, haystack: Haystack) -> Rows:
        lengths = np.diff(haystack.offsets)
        worth = lengths < SHORTEST_SCANNED if self._short else np.zeros(len(lengths), np.bool_)
        if self._numbers and haystack.text:
            # The first byte of an empty last value would lie outside.
            first = np.frombuffer(haystack.text, np.uint8)[np.minimum(haystack.offsets[:-1], len(haystack.text) - 1)]
            worth = worth | (_STARTS_NUMBER[first] & (lengths <= _LONGEST_NUMBER))
        return np.flatnonzero(worth)

    def _keys_of(self, raw: bytes) -> Sequence[int]:
        amount = number(raw.decode()) if self._numbers else None
        return [*self._short.get(raw, ()), *(self._numbers.get(amount, ()) if amount is not None else ())]


class SearchScan:
    """Keys of keywords, looked for in many columns in one call."""

    def __init__(self, keys: Mapping[int, Key]) -> None:
        self._scan = LiteralScan((at, key.literal, key.look) for at, key in keys.items())

    def __bool__(self) -> bool:
        return bool(self._scan)

    def find(self, columns: Sequence[Column]) -> Found:
        """The rows with the key in some column; keys that none has are left out."""
        found: Found = {}
        texts = [column.haystack.text for column in columns]
        bases = np.cumsum([0, *map(len, texts)])
        offsets = [column.haystack.offsets[:-1] + base for column, base in zip(columns, bases, strict=False)]
        # Where each column's values start among all values.
        firsts = np.cumsum([0, *(len(each) for each in offsets)])
        hits = self._scan.occurrences(Haystack(b"".join(texts), np.concatenate([*offsets, bases[-1:]])))
        for key, places in hits.items():
            of_column = np.searchsorted(firsts, places, side="right") - 1
            rows = [
                of_key
                for at in np.unique(of_column).tolist()
                for of_key in columns[at].rows_of_each({key: places[of_column == at] - firsts[at]}).values()
            ]
            if rows:
                found[key] = rows[0] if len(rows) == 1 else np.unique(np.concatenate(rows))
        return found


def is_looked_up(key: Key) -> bool:
    return key.look is Look.NUMBER or (key.look is Look.EQUALS and len(key.literal.encode()) < SHORTEST_SCANNED)
