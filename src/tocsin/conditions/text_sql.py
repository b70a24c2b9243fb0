"""One test on one text, as SQL for DuckDB."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

from sqlglot import exp

from tocsin.conditions.fold_sql import fold_sql, folded
from tocsin.conditions.literal import regex_source
from tocsin.conditions.sql_parts import call, each, integer, some, text, whole
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
_FUNCTIONS: Final = {
    Relation.CONTAINS: "contains",
    Relation.STARTSWITH: "starts_with",
    Relation.ENDSWITH: "ends_with",
}
_ESCAPE: Final = "\\"
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_GROUP: Final = "[0-9A-Fa-f]{1,4}"
_GROUPS: Final = f"(?:{_GROUP}(?::{_GROUP}){{0,6}})?"
_IPV6: Final = f"(?:{_GROUP}:){{7}}{_GROUP}|{_GROUPS}::{_GROUPS}"


def passes_sql(test: Test, value: exp.Expr) -> exp.Expr:
    """SQL that is true where the text passes, false or null elsewhere; never called with a field reference."""
    match test:
        case Text(relation, literal, cased):
            return relates_sql(relation, value, text(literal)) if cased else _folded(relation, value, literal)
        case Wildcard():
            return _like(test, value)
        case Regex():
            return call("regexp_matches", value, text(regex_source(test)))
        case Cidr(network):
            return _within(ipaddress.ip_network(network), value)
        case Number() | TimePart():
            return _compares(test, value)
        case Exists() | SameAs():
            return exp.Not(this=exp.Is(this=value.copy(), expression=exp.null()))


def relates_sql(relation: Relation, value: exp.Expr, other: exp.Expr) -> exp.Expr:
    """One text relates so to another, character by character."""
    if relation is Relation.EQUALS:
        return exp.EQ(this=value.copy(), expression=other)
    return call(_FUNCTIONS[relation], value, other)


def related_sql(same: SameAs, ours: exp.Expr) -> Callable[[exp.Expr], exp.Expr]:
    """Another field's text relates so to ours, as a function of that text."""
    if same.cased:
        return lambda theirs: relates_sql(same.relation, ours, theirs.copy())
    return lambda theirs: relates_sql(same.relation, fold_sql(ours), fold_sql(theirs))


def related_to_any(relation: Relation, literals: Sequence[str], *, cased: bool) -> Callable[[exp.Expr], exp.Expr]:
    """A text relates so to one of the literals, as a function of the text."""
    wanted = [literal if cased else fold(literal) for literal in literals]
    letters = "".join(sorted(set("".join(wanted))))

    def related(value: exp.Expr) -> exp.Expr:
        subject = value.copy() if cased else folded(value, letters)
        if len(wanted) == 1:
            return relates_sql(relation, subject, text(wanted[0]))
        if relation is Relation.EQUALS:
            return exp.In(this=subject, expressions=[text(literal) for literal in wanted])
        candidates = exp.array(*map(text, wanted))
        return some(candidates, "literal", lambda literal: relates_sql(relation, subject, literal))

    return related


def _folded(relation: Relation, value: exp.Expr, literal: str) -> exp.Expr:
    return relates_sql(relation, folded(value, literal), text(fold(literal)))


def _like(test: Wildcard, value: exp.Expr) -> exp.Expr:
    plain = "".join(part for part in test.parts if isinstance(part, str))
    escaped = "".join(_like_part(part if isinstance(part, Glob) or test.cased else fold(part)) for part in test.parts)
    subject = value.copy() if test.cased else folded(value, plain)
    return exp.Escape(this=exp.Like(this=subject, expression=text(escaped)), expression=text(_ESCAPE))


def _like_part(part: str | Glob) -> str:
    if isinstance(part, Glob):
        return "%" if part is Glob.ANY else "_"
    return "".join(_ESCAPE + character if character in {"%", "_", _ESCAPE} else character for character in part)


def _compares(test: Number | TimePart, value: exp.Expr) -> exp.Expr:
    compare, number = _COMPARE[test.compare], test.value
    if isinstance(test, TimePart):
        return compare(this=time_part_sql(test.unit, value), expression=exp.convert(number))

    def as_double(inner: exp.Expr) -> exp.Expr:
        return exp.TryCast(this=inner, to=exp.DataType.build("double"))

    compared = compare(this=as_double(value.copy()), expression=as_double(text(repr(float(number)))))
    return _where(whole(value, NUMBER.pattern), compared)


def _where(guard: exp.Expr, condition: exp.Expr) -> exp.Expr:
    """The condition where the guard holds; the engine may compute it elsewhere too, so it must not raise."""
    return exp.Case(ifs=[exp.If(this=guard, true=condition)], default=exp.false())


def _within(network: ipaddress.IPv4Network | ipaddress.IPv6Network, value: exp.Expr) -> exp.Expr:
    """Addresses are compared as hexadecimal texts of one length."""
    width = network.max_prefixlen // 4
    low, high = (text(f"{int(end):0{width}x}") for end in (network[0], network[-1]))
    if network.version == 4:  # noqa: PLR2004 - the version of IP
        return _where(whole(value, _IPV4), exp.Between(this=_hex_of_ipv4(value), low=low, high=high))
    eight = exp.EQ(this=call("len", _groups(value)), expression=integer(8))
    inside = exp.and_(eight, exp.Between(this=_hex_of_ipv6(value), low=low, high=high))
    return _where(whole(value, _IPV6), inside)


def _hex_of_ipv4(value: exp.Expr) -> exp.Expr:
    def octet(part: exp.Expr) -> exp.Expr:
        number = exp.TryCast(this=part, to=exp.DataType.build("int"))
        return call("lpad", call("lower", call("to_hex", number)), integer(2), text("0"))

    return _joined(each("list_transform", call("string_split", value, text(".")), "octet", octet))


def _hex_of_ipv6(value: exp.Expr) -> exp.Expr:
    def group(part: exp.Expr) -> exp.Expr:
        return call("lpad", call("lower", part), integer(4), text("0"))

    return _joined(each("list_transform", _groups(value), "part", group))


def _groups(value: exp.Expr) -> exp.Expr:
    """The eight groups; more or fewer if the text is no address after all."""
    halves = [
        _present(call("string_split", call("split_part", value, text("::"), integer(n)), text(":"))) for n in (1, 2)
    ]
    left, right = halves
    given = exp.Add(this=call("len", left), expression=call("len", right))
    # `::` stands for one group or more.
    missing = call("greatest", exp.Sub(this=integer(8), expression=exp.Paren(this=given)), integer(1))
    zeros = exp.Case(
        ifs=[
            exp.If(
                this=call("contains", value, text("::")),
                true=call("list_resize", exp.array(text("0")), missing, text("0")),
            )
        ],
        default=exp.Cast(this=exp.array(), to=exp.DataType.build("varchar[]", dialect="duckdb")),
    )
    return call("list_concat", call("list_concat", left, zeros), right)


def _present(parts: exp.Expr) -> exp.Expr:
    return each("list_filter", parts, "part", lambda part: exp.NEQ(this=part, expression=text("")))


def _joined(parts: exp.Expr) -> exp.Expr:
    return call("array_to_string", parts, text(""))
