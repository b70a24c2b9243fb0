"""Look for keys in JSON originals without parsing them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from tocsin.detect.evaluate.cells import Column, Haystack
from tocsin.detect.evaluate.key import Key, Look
from tocsin.detect.evaluate.scan import Found, LiteralScan
from tocsin.detect.evaluate.texts import parse_source
from tocsin.model.condition import fold

__all__ = ["JsonScan", "json_run"]

# What stands between values, and a text of an object or list may therefore hold unescaped.
_BETWEEN: Final = re.compile(r'["{}\[\],:]')
# A number may be spelled in many ways, so digits alone are no sign.
_OF_NUMBERS: Final = re.compile(r"[-+.0-9eE]*")
_PLAIN: Final = re.compile(rb"[^\s\\{}\[\],:]*")
# What need not be escaped, but may be; all else has one spelling.
_NEEDLESS_ESCAPE: Final = re.compile(rb"\\(?:/|u[0-9a-f]{4})")

# The same for the scan, which finds a few things more: the `\\u` of C:\\users is an escaped backslash and a letter.
_ESCAPE: Final = -1
_ESCAPE_SIGNS: Final = ("\\/", *(f"\\u{digit}" for digit in "0123456789abcdef"))


def json_run(key: Key) -> str:
    """The longest part of a key's literal that is in all JSON that it is in, as JSON has it; empty if there is none."""
    runs = [key.literal] if key.field is None else _BETWEEN.split(key.literal)
    longest = max((run for run in runs if not _OF_NUMBERS.fullmatch(run)), key=len, default="")
    return msgspec.json.encode(longest)[1:-1].decode()


class _ValueScan(LiteralScan):
    """Finds what stands in values, and little of what stands in names."""

    def _found(self, text: bytes) -> list[tuple[int, int, int]]:
        return [found for found in super()._found(text) if not _is_in_name(text, found[2])]


def _is_in_name(text: bytes, end: int) -> bool:
    """Does what ends there stand in a name for sure: in a quoted text that a colon follows?"""
    quote = text.find(b'"', end)
    # What has neither structure nor space in it before the quote is within quotes, if they are not escaped.
    return text[quote + 1 : quote + 2] == b":" and _PLAIN.fullmatch(text, end, quote) is not None


class JsonScan:
    """Keys of any paths in originals: wherever in the text their literals stand."""

    def __init__(self, keys: Mapping[int, Key]) -> None:
        self._keys = keys
        self._any: list[int] = []

    @cached_property
    def _scan(self) -> LiteralScan:
        """Built when there are originals to be scanned."""
        runs = {at: json_run(key) for at, key in self._keys.items() if key.look is not Look.NUMBER}
        self._any = [at for at in self._keys if not runs.get(at)]
        sought = [(at, run, Look.CONTAINS) for at, run in runs.items() if run]
        signs = [(_ESCAPE, sign, Look.CONTAINS) for sign in _ESCAPE_SIGNS] if sought else []
        # A keyword is never found in a name, but a field may hold an object as a text, with its names.
        of_keywords = all(key.field is None for key in self._keys.values())
        return (_ValueScan if of_keywords else LiteralScan)([*sought, *signs])

    def find(self, originals: Column) -> Found:
        """The rows that have each key; keys that none has are left out."""
        values = self._scan.occurrences(originals.haystack) if self._scan else {}
        escaping = values.pop(_ESCAPE, None)
        if escaping is not None and (spelled := _plainly_spelled(originals, set(escaping.tolist()))) is not None:
            values = self._scan.occurrences(spelled)
            values.pop(_ESCAPE, None)
        found = {at: originals.present() for at in self._any}
        return found | originals.rows_of_each(values)


def _plainly_spelled(originals: Column, suspects: set[int]) -> Haystack | None:
    """The originals without needless escapes; None if these, where something like one was found, have none either."""
    text, offsets = originals.haystack
    escaping = [at for at in suspects if _NEEDLESS_ESCAPE.search(text, offsets[at], offsets[at + 1])]
    if not escaping:
        return None
    texts = [text[start:end] for start, end in pairwise(offsets.tolist())]
    for at in escaping:
        texts[at] = _respelled(originals.text_at(at))
    return Haystack(b"".join(texts), np.cumsum([0, *map(len, texts)]))


def _respelled(original: str) -> bytes:
    return fold(msgspec.json.encode(parse_source(original)).decode()).encode()
