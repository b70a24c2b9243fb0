"""ClickHouse's SQL, over Parquet files of the lake or tables made from them.

Structs are tuples there, so that what lies in a null struct is null by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Final

import re2
from sqlglot import exp

from tocsin.conditions.address_sql import IPV4, IPV6
from tocsin.conditions.dialect import Make, Network
from tocsin.conditions.literal import regex_source
from tocsin.conditions.sql_parts import call, integer, own, text, where
from tocsin.conditions.token_sql import KEY, TOKEN
from tocsin.model.condition import Glob, Regex, Relation

__all__ = ["ClickHouseSql"]

_GLOBS: Final = {Glob.ANY: ".*", Glob.ONE: "."}


class ClickHouseSql:
    """`match` is RE2, as the tree's regular expressions are."""

    name = "clickhouse"

    def written(self, expression: exp.Expr) -> str:
        return expression.sql(dialect=self.name)

    def contains(self, relation: Relation, value: exp.Expr, other: exp.Expr) -> exp.Expr:
        if relation is Relation.CONTAINS:
            return exp.GT(this=call("position", value, other), expression=integer(0))
        return call("startsWith" if relation is Relation.STARTSWITH else "endsWith", value, other)

    def regex(self, test: Regex, value: exp.Expr) -> exp.Expr:
        # Unlike RE2 itself, `match` lets `.` be a newline unless told otherwise.
        return call("match", value, text(f"(?-s){regex_source(test)}"))

    def whole(self, value: exp.Expr, pattern: str) -> exp.Expr:
        return call("match", value, text(rf"\A(?:{pattern})\z"))

    def wildcard(self, parts: Sequence[str | Glob], value: exp.Expr) -> exp.Expr:
        pattern = "".join(_GLOBS[part] if isinstance(part, Glob) else re2.escape(part) for part in parts)
        return call("match", value, text(rf"(?s)\A{pattern}\z"))

    def is_ascii(self, value: exp.Expr) -> exp.Expr:
        return exp.EQ(this=call("length", value), expression=call("lengthUTF8", value))

    def translated(self, value: exp.Expr, letters: str, replacements: str) -> exp.Expr:
        return call("translateUTF8", value, text(letters), text(replacements))

    def as_double(self, value: exp.Expr) -> exp.Expr:
        return call("toFloat64OrNull", value)

    def as_integer(self, value: exp.Expr) -> exp.Expr:
        return call("toInt64OrNull", value)

    def quotient(self, value: exp.Expr, by: int) -> exp.Expr:
        return call("intDiv", value, integer(by))

    def within(self, network: Network, value: exp.Expr) -> exp.Expr:
        first, last = (int(end) for end in (network[0], network[-1]))
        if network.version == 4:  # noqa: PLR2004 - the version of IP
            number = call("IPv4StringToNumOrNull", value)
            return where(self.whole(value, IPV4), _between(number, integer(first), integer(last)))
        low, high = (call("unhex", text(f"{end:032x}")) for end in (first, last))
        return where(self.whole(value, IPV6), _between(call("IPv6StringToNumOrNull", value), low, high))

    def as_text(self, column: exp.Expr) -> exp.Expr:
        return call("toString", column)

    def some(self, values: exp.Expr, variable: str, make: Make) -> exp.Expr:
        passes = exp.Lambda(
            this=call("ifNull", make(exp.column(variable)), exp.false()), expressions=[exp.to_identifier(variable)]
        )
        return call("arrayExists", passes, values)

    def key_value(self, fields: exp.Expr, key: str) -> exp.Expr:
        return exp.Bracket(this=own(fields), expressions=[text(key)])

    def values(self, fields: exp.Expr) -> exp.Expr:
        return call("mapValues", fields)

    def texts_at(self, source: exp.Expr, path: str) -> exp.Expr:
        start: exp.Expr = exp.array(call("ifNull", source, text("")))
        found = reduce(_step, path.split("."), start)
        return _mapped(found, lambda value: exp.If(this=_is(value, "String"), true=_string(value), false=own(value)))

    def all_texts(self, source: exp.Expr) -> exp.Expr:
        tokens = call("extractAll", call("ifNull", source, text("")), text(TOKEN))
        leaves = _kept(tokens, lambda token: exp.Not(this=call("match", token, text(KEY))))
        return _mapped(
            leaves,
            lambda token: exp.If(this=call("startsWith", token, text('"')), true=_string(token), false=own(token)),
        )


def _step(values: exp.Expr, key: str) -> exp.Expr:
    def inner(value: exp.Expr) -> exp.Expr:
        is_list = exp.EQ(this=call("JSONType", value, text(key)), expression=text("Array"))
        items = call("JSONExtractArrayRaw", value, text(key))
        return exp.If(this=is_list, true=items, false=exp.array(call("JSONExtractRaw", value, text(key))))

    # Only objects have keys: of a list, ClickHouse would take the key for a place.
    objects = _kept(values, lambda value: _is(value, "Object"))
    found = call("arrayFlatten", _mapped(objects, inner))
    return _kept(found, lambda value: exp.Not(this=exp.In(this=own(value), expressions=[text(""), text("null")])))


def _kept(values: exp.Expr, make: Make) -> exp.Expr:
    return call("arrayFilter", exp.Lambda(this=make(exp.column("v")), expressions=[exp.to_identifier("v")]), values)


def _mapped(values: exp.Expr, make: Make) -> exp.Expr:
    return call("arrayMap", exp.Lambda(this=make(exp.column("v")), expressions=[exp.to_identifier("v")]), values)


def _is(value: exp.Expr, kind: str) -> exp.Expr:
    return exp.EQ(this=call("JSONType", value), expression=text(kind))


def _string(value: exp.Expr) -> exp.Expr:
    return call("JSONExtractString", value)


def _between(value: exp.Expr, low: exp.Expr, high: exp.Expr) -> exp.Expr:
    return exp.Between(this=value, low=low, high=high)
