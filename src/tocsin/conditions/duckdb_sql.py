"""DuckDB's SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlglot import exp

from tocsin.conditions.address_sql import IPV4, IPV6, ends
from tocsin.conditions.dialect import Make, Network
from tocsin.conditions.literal import regex_source
from tocsin.conditions.source_sql import all_texts, texts_at
from tocsin.conditions.sql_parts import call, each, integer, like_text, text, where
from tocsin.conditions.time_sql import time_part_sql
from tocsin.model.condition import Glob, Regex, Relation, TimeUnit

__all__ = ["DuckDbSql"]

_FUNCTIONS: Final = {
    Relation.CONTAINS: "contains",
    Relation.STARTSWITH: "starts_with",
    Relation.ENDSWITH: "ends_with",
}
_ESCAPE: Final = "\\"


class DuckDbSql:
    """Over tables in the nested form, as Parquet or Arrow."""

    name = "duckdb"

    def written(self, expression: exp.Expr) -> str:
        return expression.sql(dialect=self.name)

    def contains(self, relation: Relation, value: exp.Expr, other: exp.Expr) -> exp.Expr:
        return call(_FUNCTIONS[relation], value, other)

    def regex(self, test: Regex, value: exp.Expr) -> exp.Expr:
        return call("regexp_matches", value, text(regex_source(test)))

    def whole(self, value: exp.Expr, pattern: str) -> exp.Expr:
        return call("regexp_full_match", value, text(pattern))

    def wildcard(self, parts: Sequence[str | Glob], value: exp.Expr) -> exp.Expr:
        like = exp.Like(this=value.copy(), expression=text(like_text(parts, _ESCAPE)))
        return exp.Escape(this=like, expression=text(_ESCAPE))

    def is_ascii(self, value: exp.Expr) -> exp.Expr:
        return exp.EQ(this=call("strlen", value), expression=call("length", value))

    def translated(self, value: exp.Expr, letters: str, replacements: str) -> exp.Expr:
        return call("translate", value, text(letters), text(replacements))

    def as_double(self, value: exp.Expr) -> exp.Expr:
        return exp.TryCast(this=value.copy(), to=exp.DataType.build("double"))

    def within(self, network: Network, value: exp.Expr) -> exp.Expr:
        low, high = map(text, ends(network))
        if network.version == 4:  # noqa: PLR2004 - the version of IP
            return where(self.whole(value, IPV4), exp.Between(this=_hex_of_ipv4(value), low=low, high=high))
        eight = exp.EQ(this=call("len", _groups(value)), expression=integer(8))
        inside = exp.and_(eight, exp.Between(this=_hex_of_ipv6(value), low=low, high=high))
        return where(self.whole(value, IPV6), inside)

    def time_part(self, unit: TimeUnit, value: exp.Expr) -> exp.Expr:
        return time_part_sql(unit, value)

    def as_text(self, column: exp.Expr) -> exp.Expr:
        return exp.Cast(this=column, to=exp.DataType.build("varchar"))

    def some(self, values: exp.Expr, variable: str, make: Make) -> exp.Expr:
        passing = call("len", each("list_filter", values, variable, make))
        return exp.GT(this=call("coalesce", passing, integer(0)), expression=integer(0))

    def key_value(self, fields: exp.Expr, key: str) -> exp.Expr:
        return call("map_extract_value", fields, text(key))

    def values(self, fields: exp.Expr) -> exp.Expr:
        return call("map_values", fields)

    def texts_at(self, source: exp.Expr, path: str) -> exp.Expr:
        return texts_at(source, path)

    def all_texts(self, source: exp.Expr) -> exp.Expr:
        return all_texts(source)


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
