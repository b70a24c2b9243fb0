"""The condition of a rule, read as words: enough to say what is wrong with it, and quick."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

__all__ = ["Reading", "Selector", "read"]

_WORD: Final = re.compile(r"\(|\)|[^\s()|]+|\|")
_OPERATORS: Final = frozenset({"and", "or", "not"})
_COUNTS: Final = frozenset({"1", "any", "all"})


@dataclass(frozen=True, slots=True)
class Selector:
    """`1 of selection_*`, `all of them`."""

    count: str
    pattern: str

    def named(self, selections: list[str]) -> list[str]:
        """The selections that it means; those whose names begin with an underscore only if it says so."""
        if self.pattern == "them":
            return [name for name in selections if not name.startswith("_")]
        return [name for name in selections if fnmatchcase(name, self.pattern)]


@dataclass
class Reading:
    """What a condition says."""

    names: list[str] = field(default_factory=list)
    selectors: list[Selector] = field(default_factory=list)
    aggregation: str = ""  # what follows a pipe
    error: str = ""
    upper: list[tuple[int, str]] = field(default_factory=list)  # operators in capitals: place in the text, word
    only_negated: bool = False  # can it hold for an event of which nothing holds?


class _Wrong(Exception):  # never leaves this file
    """The condition cannot be read; its text says why."""


@lru_cache(maxsize=1024)
def read(text: str) -> Reading:
    """What a condition says, as far as it can be read."""
    reading = Reading()
    words: list[str] = []
    for found in _WORD.finditer(text):
        word = found[0]
        if word == "|":
            reading.aggregation = text[found.end() :].strip()
            break
        if word.lower() in _OPERATORS | {"of", "them", "all", "any"} and word != word.lower():
            reading.upper.append((found.start(), word))
        words.append(word.lower() if word.lower() in _OPERATORS | {"of", "them"} else word)
    try:
        reading.only_negated = _Reader(words, reading).whole()
    except _Wrong as wrong:
        reading.error = str(wrong)
    return reading


class _Reader:
    """A recursive descent; each method says whether its part can hold where no selection does."""

    def __init__(self, words: list[str], reading: Reading) -> None:
        self._words, self._reading, self._next = words, reading, 0

    def whole(self) -> bool:
        if not self._words:
            raise _Wrong("it is empty")
        held = self._either()
        if self._peek():
            raise _Wrong(f"{self._peek()!r} stands where `and` or `or` should")
        return held

    def _either(self) -> bool:
        held = self._both()
        while self._take("or"):
            held = self._both() or held
        return held

    def _both(self) -> bool:
        held = self._negation()
        while self._take("and"):
            held = self._negation() and held
        return held

    def _negation(self) -> bool:
        return not self._negation() if self._take("not") else self._single()

    def _single(self) -> bool:
        word = self._pop()
        if word == "(":
            held = self._either()
            if not self._take(")"):
                raise _Wrong("a bracket is not closed")
            return held
        if word in _OPERATORS | {")", "of", ""}:
            raise _Wrong(
                f"{word!r} stands where a selection should" if word else "it ends where a selection should stand"
            )
        if self._peek() == "of":
            return self._selector(word)
        self._reading.names.append(word)
        return False

    def _selector(self, count: str) -> bool:
        self._pop()
        pattern = self._pop()
        if count.lower() not in _COUNTS:
            raise _Wrong(f"'{count} of' has no meaning: it must be 1, any or all")
        if pattern in _OPERATORS | {"(", ")", ""}:
            raise _Wrong(f"'{count} of' names no selections")
        self._reading.selectors.append(Selector(count.lower(), pattern))
        return False

    def _peek(self) -> str:
        return self._words[self._next] if self._next < len(self._words) else ""

    def _pop(self) -> str:
        word = self._peek()
        self._next += 1
        return word

    def _take(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._next += 1
        return True
