r"""RE2's patterns as Java's, construct by construct, for Spark.

Java's `.`, `^`, `$`, `\s`, `\b` and its idea of letter case differ from RE2's, so each is written out. Patterns are
read by Python's parser; where that reads something else than RE2, the pattern is refused.
"""

from __future__ import annotations

import re
import warnings
from re import _constants as constants  # type: ignore[attr-defined]  # no public way to see a parsed pattern
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

from tocsin.conditions.literal import compile_regex
from tocsin.model.condition import Regex, fold, fold_table
from tocsin.model.errors import InvalidQuery

__all__ = ["java_pattern"]

# What RE2 reads and Python does not, or reads differently.
_FOREIGN: Final = re.compile(
    r"\[\[:|\[:\^?\w+:\]|\\[pPQCEzZ]|\{,|\\x\{|\(\?[a-zA-Z]*U|\\[0-7]|\(\?[a-zA-Z-]+\)(?<!^\(\?i\))"
)
_CLASSES: Final = {
    constants.CATEGORY_DIGIT: "0-9",
    constants.CATEGORY_SPACE: r"\t\n\f\r ",
    constants.CATEGORY_WORD: "0-9A-Za-z_",
}
_OPPOSITES: Final = {
    constants.CATEGORY_NOT_DIGIT: constants.CATEGORY_DIGIT,
    constants.CATEGORY_NOT_SPACE: constants.CATEGORY_SPACE,
    constants.CATEGORY_NOT_WORD: constants.CATEGORY_WORD,
}
_WORD: Final = "[0-9A-Za-z_]"
_EDGE: Final = f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))"
_NO_EDGE: Final = f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))"


def java_pattern(test: Regex) -> str:
    """A pattern that Java finds in exactly the texts in which RE2 finds the test's.

    Raises:
        InvalidRule: RE2 cannot read the pattern.
        InvalidQuery: it cannot be said, as far as is known here.
    """
    compile_regex(test)
    pattern, ignore_case = test.pattern, test.ignore_case
    if pattern.startswith("(?i)"):
        pattern, ignore_case = pattern[4:], True
    if _FOREIGN.search(pattern):
        raise _refused(test)
    flags = re.ASCII | (re.MULTILINE if test.multiline else 0) | (re.DOTALL if test.dot_all else 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = parser.parse(pattern, flags)
        return _Writer(test, ignore_case=ignore_case).sequence(list(parsed))
    except (re.error, Warning, RecursionError, OverflowError, KeyError) as error:
        raise _refused(test) from error


def _refused(test: Regex) -> InvalidQuery:
    return InvalidQuery(f"the regular expression {test.pattern!r} cannot be said exactly in Spark's SQL")


class _Writer:
    """Writes a parsed pattern; what it does not know is a KeyError."""

    def __init__(self, test: Regex, *, ignore_case: bool) -> None:
        self._test, self._ignore_case = test, ignore_case

    def sequence(self, tokens: list[tuple[Any, Any]]) -> str:
        return "".join(self._token(kind, argument) for kind, argument in tokens)

    def _token(self, kind: Any, argument: Any) -> str:  # noqa: ANN401, PLR0911 - the parser has no types; a case each
        match kind:
            case constants.LITERAL:
                return self._set([(argument, argument)], negated=False)
            case constants.NOT_LITERAL:
                return self._set([(argument, argument)], negated=True)
            case constants.ANY:
                return "(?s:.)" if self._test.dot_all else r"[^\n]"
            case constants.IN:
                return self._in(argument)
            case constants.AT:
                return self._at(argument)
            case constants.BRANCH:
                return "(?:" + "|".join(self.sequence(list(branch)) for branch in argument[1]) + ")"
            case constants.SUBPATTERN:
                _, on, off, inner = argument
                if on or off:
                    raise KeyError(kind)
                return f"(?:{self.sequence(list(inner))})"
            case constants.MAX_REPEAT | constants.MIN_REPEAT:
                return self._repeat(argument, lazy=kind is constants.MIN_REPEAT)
            case _:
                raise KeyError(kind)

    def _repeat(self, argument: Any, *, lazy: bool) -> str:  # noqa: ANN401 - as above
        least, most, inner = argument
        upper = "" if most is constants.MAXREPEAT else str(int(most))
        return f"(?:{self.sequence(list(inner))}){{{least},{upper}}}{'?' * lazy}"

    def _at(self, where: Any) -> str:  # noqa: ANN401 - as above
        multiline = self._test.multiline
        return {
            constants.AT_BEGINNING: r"(?<![^\n])" if multiline else r"\A",
            constants.AT_BEGINNING_STRING: r"\A",
            constants.AT_END: r"(?![^\n])" if multiline else r"\z",
            constants.AT_BOUNDARY: _EDGE,
            constants.AT_NON_BOUNDARY: _NO_EDGE,
        }[where]

    def _in(self, items: list[tuple[Any, Any]]) -> str:
        negated = bool(items) and items[0][0] is constants.NEGATE
        ranges: list[tuple[int, int]] = []
        inside = ""
        for kind, argument in items[negated:]:
            if self._ignore_case and argument in (constants.CATEGORY_WORD, constants.CATEGORY_NOT_WORD):
                # For RE2 some letters beyond ASCII are of the class then, but not always.
                raise KeyError(argument)
            if kind is constants.CATEGORY and argument in _OPPOSITES:
                inside += f"[^{_CLASSES[_OPPOSITES[argument]]}]"
            elif kind is constants.CATEGORY:
                inside += _CLASSES[argument]
            elif kind is constants.RANGE:
                ranges.append(argument)
            else:
                ranges.append({constants.LITERAL: (argument, argument)}[kind])
        return self._set(ranges, negated=negated, inside=inside)

    def _set(self, ranges: list[tuple[int, int]], *, negated: bool, inside: str = "") -> str:
        if self._ignore_case:
            ranges = ranges + [(point, point) for point in _alike(ranges)]
        body = "".join(_point(a) if a == b else f"{_point(a)}-{_point(b)}" for a, b in ranges)
        return f"[{'^' * negated}{body}{inside}]"


def _alike(ranges: list[tuple[int, int]]) -> list[int]:
    """The characters that fold to what some character of the ranges folds to."""
    folded = {ord(fold(chr(point))) for point in _cased() if any(a <= point <= b for a, b in ranges)}
    return sorted(point for point in _cased() if ord(fold(chr(point))) in folded)


def _cased() -> list[int]:
    table = fold_table()
    return sorted({*table, *table.values()})


def _point(point: int) -> str:
    return f"\\x{{{point:x}}}"
