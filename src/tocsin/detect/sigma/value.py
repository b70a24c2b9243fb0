"""From pySigma's parsed values to tests of the condition tree; its escapes are never parsed again."""

from __future__ import annotations

from typing import Final

from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaFieldReference,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from tocsin.conditions.literal import compile_regex, compile_wildcard
from tocsin.conditions.pattern import pattern
from tocsin.model.condition import (
    Cidr,
    Compare,
    Field,
    Glob,
    Number,
    Regex,
    Relation,
    SameAs,
    Test,
    Text,
    TextTest,
    TimePart,
    TimeUnit,
    Wildcard,
)
from tocsin.model.errors import InvalidRule

__all__ = ["compare_test", "field_reference", "keyword_test", "value_test"]

_GLOBS: Final = {SpecialChars.WILDCARD_MULTI: Glob.ANY, SpecialChars.WILDCARD_SINGLE: Glob.ONE}
_LARGE: Final = 500  # characters and wildcards; none of either is 20 steps of a pattern
_COMPARE: Final = {
    CompareOperators.LT: Compare.LESS,
    CompareOperators.LTE: Compare.AT_MOST,
    CompareOperators.GT: Compare.GREATER,
    CompareOperators.GTE: Compare.AT_LEAST,
}
_RANGES: Final = {
    TimeUnit.MINUTE: (0, 59),
    TimeUnit.HOUR: (0, 23),
    TimeUnit.DAY: (1, 31),
    TimeUnit.WEEK: (1, 53),
    TimeUnit.MONTH: (1, 12),
}


def value_test(value: SigmaType) -> Test:
    """The test of a value that stands beside a field.

    Raises:
        InvalidRule: values of that kind have no meaning here (queries in a backend's language).
    """
    match value:
        case SigmaString():
            return _checked(pattern(_parts(value), cased=isinstance(value, SigmaCasedString)))
        case SigmaTimestampPart():
            return _time_part(value, Compare.EQUALS)
        case SigmaNumber(number=number):
            return Number(Compare.EQUALS, number)
        case SigmaBool():
            return Text(Relation.EQUALS, str(value.boolean).lower())
        case SigmaRegularExpression():
            return _regex(value)
        case SigmaCIDRExpression():
            return Cidr(str(value.network))
        case _:
            raise InvalidRule(f"a value of kind {type(value).__name__} is not supported here")


def compare_test(value: SigmaCompareExpression) -> Number | TimePart:
    """The test of a comparison with a number, or of the part of a time."""
    compare = _COMPARE[value.op]
    if isinstance(value.number, SigmaTimestampPart):
        return _time_part(value.number, compare)
    return Number(compare, value.number.number)


def _time_part(value: SigmaTimestampPart, compare: Compare) -> TimePart:
    unit = TimeUnit(value.timestamp_part.name.lower())
    low, high = _RANGES.get(unit, (value.number, value.number))
    if not low <= value.number <= high:
        raise InvalidRule(f"there is no {unit.value} {value.number}")
    return TimePart(unit, compare, value.number)


def keyword_test(value: SigmaType) -> TextTest:
    """The test of a value that stands alone: it may lie anywhere in a text.

    Raises:
        InvalidRule: only strings, numbers and regular expressions can be searched for.
    """
    match value:
        case SigmaString():
            parts = (Glob.ANY, *_parts(value), Glob.ANY)
            return _checked(pattern(parts, cased=isinstance(value, SigmaCasedString)))
        case SigmaNumber() | SigmaBool():
            return Text(Relation.CONTAINS, str(value).lower())
        case SigmaRegularExpression():
            return _regex(value)
        case _:
            raise InvalidRule(f"a value of kind {type(value).__name__} needs a field")


def field_reference(value: SigmaFieldReference, other: Field, *, cased: bool) -> SameAs:
    """The test against another field of the event."""
    if value.starts_with and value.ends_with:
        return SameAs(other, Relation.CONTAINS, cased)
    if value.starts_with:
        return SameAs(other, Relation.STARTSWITH, cased)
    return SameAs(other, Relation.ENDSWITH if value.ends_with else Relation.EQUALS, cased)


def _checked(test: Text | Wildcard) -> Text | Wildcard:
    """The test, if it can be used; most are far too small to be compiled before they are needed."""
    if isinstance(test, Wildcard) and sum(len(part) if isinstance(part, str) else 1 for part in test.parts) > _LARGE:
        compile_wildcard(test)
    return test


def _parts(value: SigmaString) -> list[str | Glob]:
    parts: list[str | Glob] = []
    for part in value.s:
        if isinstance(part, str):
            parts.append(_text(part))
        elif isinstance(part, SpecialChars):
            parts.append(_GLOBS[part])
        else:
            raise InvalidRule(f"placeholder %{part.name}% has no value")
    return parts


def _text(part: str) -> str:
    try:
        part.encode()
    except UnicodeEncodeError as error:
        raise InvalidRule("UTF-16 of more than ASCII is no text; it can be found in Base64 only") from error
    return part


def _regex(value: SigmaRegularExpression) -> Regex:
    flags = value.flags
    test = Regex(
        value.regexp.to_plain(regex=True),
        ignore_case=SigmaRegularExpressionFlag.IGNORECASE in flags,
        multiline=SigmaRegularExpressionFlag.MULTILINE in flags,
        dot_all=SigmaRegularExpressionFlag.DOTALL in flags,
    )
    compile_regex(test)
    return test
