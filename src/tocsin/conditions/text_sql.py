"""One test on one text, as SQL."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

from sqlglot import exp

from tocsin.conditions.dialect import Dialect, Make
from tocsin.conditions.fold_sql import fold_sql, folded
from tocsin.conditions.sql_parts import own, text, where
from tocsin.conditions.time_sql import time_part_sql
from tocsin.model.condition import (
    NUMBER,
    Cidr,
    Compare,
    Exists,
    Glob,
    Number,
    Regex,
    Relation,
    SameAs,
    Test,
    Text,
    TimePart,
    Wildcard,
    fold,
)

__all__ = ["passes_sql", "related_sql", "related_to_any"]

_COMPARE: Final[dict[Compare, type[exp.Binary]]] = {
    Compare.EQUALS: exp.EQ,
    Compare.LESS: exp.LT,
    Compare.AT_MOST: exp.LTE,
    Compare.GREATER: exp.GT,
    Compare.AT_LEAST: exp.GTE,
}


def passes_sql(test: Test, value: exp.Expr, dialect: Dialect) -> exp.Expr:  # noqa: PLR0911 - a case each
    """SQL that is true where the text passes, false or null elsewhere; never called with a field reference."""
    match test:
        case Text(relation, literal, cased):
            if cased:
                return relates_sql(relation, value, text(literal), dialect)
            return relates_sql(relation, folded(value, literal, dialect), text(fold(literal)), dialect)
        case Wildcard():
            return _wildcard(test, value, dialect)
        case Regex():
            return dialect.regex(test, value)
        case Cidr(network):
            return dialect.within(ipaddress.ip_network(network), value)
        case Number():
            return _compares(test, value, dialect)
        case TimePart():
            return _of_time(test, value, dialect)
        case Exists() | SameAs():
            return exp.Not(this=exp.Is(this=own(value), expression=exp.null()))


def relates_sql(relation: Relation, value: exp.Expr, other: exp.Expr, dialect: Dialect) -> exp.Expr:
    """One text relates so to another, character by character."""
    if relation is Relation.EQUALS:
        return exp.EQ(this=own(value), expression=other)
    return dialect.contains(relation, value, other)


def related_sql(same: SameAs, ours: exp.Expr, dialect: Dialect) -> Callable[[exp.Expr], exp.Expr]:
    """Another field's text relates so to ours, as a function of that text."""
    if same.cased:
        return lambda theirs: relates_sql(same.relation, ours, own(theirs), dialect)
    return lambda theirs: relates_sql(same.relation, fold_sql(ours, dialect), fold_sql(theirs, dialect), dialect)


def related_to_any(relation: Relation, literals: Sequence[str], dialect: Dialect, *, cased: bool) -> Make:
    """A text relates so to one of the literals, as a function of the text."""
    wanted = [literal if cased else fold(literal) for literal in literals]
    letters = "".join(sorted(set("".join(wanted))))

    def related(value: exp.Expr) -> exp.Expr:
        subject = own(value) if cased else folded(value, letters, dialect)
        if len(wanted) == 1:
            return relates_sql(relation, subject, text(wanted[0]), dialect)
        if relation is Relation.EQUALS:
            return exp.In(this=subject, expressions=[text(literal) for literal in wanted])
        candidates = exp.array(*map(text, wanted))
        return dialect.some(candidates, "literal", lambda literal: relates_sql(relation, subject, literal, dialect))

    return related


def _wildcard(test: Wildcard, value: exp.Expr, dialect: Dialect) -> exp.Expr:
    if test.cased:
        return dialect.wildcard(test.parts, value)
    plain = "".join(part for part in test.parts if isinstance(part, str))
    parts = [part if isinstance(part, Glob) else fold(part) for part in test.parts]
    return dialect.wildcard(parts, folded(value, plain, dialect))


def _compares(test: Number, value: exp.Expr, dialect: Dialect) -> exp.Expr:
    literal = dialect.as_double(text(repr(float(test.value))))
    compared = _COMPARE[test.compare](this=dialect.as_double(value), expression=literal)
    return where(dialect.whole(value, NUMBER.pattern), compared)


def _of_time(test: TimePart, value: exp.Expr, dialect: Dialect) -> exp.Expr:
    def compares(part: exp.Expr) -> exp.Expr:
        return _COMPARE[test.compare](this=own(part), expression=exp.convert(test.value))

    return time_part_sql(test.unit, value, compares, dialect)
