"""Lists with one value a line, as most free feeds come.

Comments start with `#` or `;`, alone or after the value. What follows a value after blanks or a comma is left out
(`1.2.3.4<tab>8`), but the hosts format is understood: `0.0.0.0 ads.example.com` lists the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tocsin.intel.indicator import Indicator, Items, Refused
from tocsin.intel.options import Options
from tocsin.intel.value import guess, normal

__all__ = ["lines_of", "read"]

_SINKS: Final = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})  # noqa: S104 -- read, not bound
_COMMENT: Final = re.compile(r"(?:^|\s)[#;].*|^//.*")
_ENDS: Final = re.compile(r"[\s,]+")
_THIS_HOST: Final = re.compile(r"(?:localhost|local|broadcasthost|ip6-\w+|[^.]*\.localdomain)")


def read(content: bytes, options: Options) -> Items:
    """Every value of the list."""
    for number, line in enumerate(lines_of(content), 1):
        for text in _values(line):
            try:
                kind, value = guess(text) if options.kind is None else normal(options.kind, text)
            except ValueError as error:
                yield Refused(f"line {number}", str(error))
            else:
                yield Indicator(kind, value)


def lines_of(content: bytes) -> Iterator[str]:
    """Lines of a text in UTF-8, with or without a byte order mark; other bytes come as U+FFFD."""
    yield from content.decode("utf-8-sig", "replace").splitlines()


def _values(line: str) -> list[str]:
    text = _COMMENT.sub("", line).strip()
    if not text:
        return []
    first, *rest = _ENDS.split(text)
    if first in _SINKS and rest:
        return [name for name in rest if name not in _SINKS and not _THIS_HOST.fullmatch(name)]
    return [first]
