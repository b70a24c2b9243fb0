"""Spark's SQL (4 or later), over Parquet files of the lake or tables made from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Final

from sqlglot import exp

from tocsin.conditions.address_sql import IPV4, IPV6, ends
from tocsin.conditions.dialect import Make, Network
from tocsin.conditions.java_regex import java_pattern
from tocsin.conditions.sql_parts import call, each, integer, like_text, text, where
from tocsin.conditions.token_sql import KEY, TOKEN
from tocsin.model.condition import Glob, Regex, Relation, TimeUnit
from tocsin.model.errors import InvalidQuery

__all__ = ["SparkSql"]

_FUNCTIONS: Final = {
    Relation.CONTAINS: "contains",
    Relation.STARTSWITH: "startswith",
    Relation.ENDSWITH: "endswith",
}
_ESCAPE: Final = "~"


class SparkSql:
    """Its regular expressions are Java's; originals are read as variants."""

    name = "spark"

    def written(self, expression: exp.Expr) -> str:
        # Spark puts its own variables in place of ${name}, even within a literal.
        return expression.sql(dialect=self.name).replace("${", "\\u0024{")

    def contains(self, relation: Relation, value: exp.Expr, other: exp.Expr) -> exp.Expr:
        return call(_FUNCTIONS[relation], value, other)

    def regex(self, test: Regex, value: exp.Expr) -> exp.Expr:
        return call("regexp_like", value, text(java_pattern(test)))

    def whole(self, value: exp.Expr, pattern: str) -> exp.Expr:
        return call("regexp_like", value, text(rf"\A(?:{pattern})\z"))

    def wildcard(self, parts: Sequence[str | Glob], value: exp.Expr) -> exp.Expr:
        like = exp.Like(this=value.copy(), expression=text(like_text(parts, _ESCAPE)))
        return exp.Escape(this=like, expression=text(_ESCAPE))

    def is_ascii(self, value: exp.Expr) -> exp.Expr:
        return exp.EQ(this=call("octet_length", value), expression=call("char_length", value))

    def translated(self, value: exp.Expr, letters: str, replacements: str) -> exp.Expr:
        return call("translate", value, text(letters), text(replacements))

    def as_double(self, value: exp.Expr) -> exp.Expr:
        return exp.TryCast(this=value.copy(), to=exp.DataType.build("double"))

    def within(self, network: Network, value: exp.Expr) -> exp.Expr:
        low, high = map(text, ends(network))
        if network.version == 4:  # noqa: PLR2004 - the version of IP
            return where(self.whole(value, IPV4), exp.Between(this=_hex_of_ipv4(value), low=low, high=high))
        eight = exp.EQ(this=call("size", _groups(value)), expression=integer(8))
        joined = call("array_join", each("transform", _groups(value), "part", _padded), text(""))
        return where(self.whole(value, IPV6), exp.and_(eight, exp.Between(this=joined, low=low, high=high)))

    def time_part(self, unit: TimeUnit, value: exp.Expr) -> exp.Expr:
        del value
        raise InvalidQuery(f"the {unit} of a point in time cannot be said exactly in Spark's SQL")

    def as_text(self, column: exp.Expr) -> exp.Expr:
        return exp.Cast(this=column, to=exp.DataType.build("text"))

    def some(self, values: exp.Expr, variable: str, make: Make) -> exp.Expr:
        return call("coalesce", each("exists", values, variable, make), exp.false())

    def key_value(self, fields: exp.Expr, key: str) -> exp.Expr:
        return call("try_element_at", fields, text(key))

    def values(self, fields: exp.Expr) -> exp.Expr:
        return call("map_values", fields)

    def texts_at(self, source: exp.Expr, path: str) -> exp.Expr:
        start: exp.Expr = exp.array(call("try_parse_json", source))
        found = reduce(_step, path.split("."), start)
        return each("transform", found, "v", lambda value: call("try_variant_get", value, text("$"), text("string")))

    def all_texts(self, source: exp.Expr) -> exp.Expr:
        tokens = call("regexp_extract_all", source, text(TOKEN), integer(0))
        leaves = each("filter", tokens, "v", lambda token: exp.Not(this=call("regexp_like", token, text(KEY))))

        def as_text(token: exp.Expr) -> exp.Expr:
            parsed = call("get_json_object", call("concat", text("["), token, text("]")), text("$[0]"))
            is_string = call("startswith", token, text('"'))
            return exp.Case(ifs=[exp.If(this=is_string, true=parsed)], default=token.copy())

        return each("transform", leaves, "v", as_text)


def _step(values: exp.Expr, key: str) -> exp.Expr:
    if "'" in key:
        raise InvalidQuery(f"the key {key!r} of an original cannot be named in Spark's SQL")
    place = text(f"$['{key}']")

    def inner(value: exp.Expr) -> exp.Expr:
        items = call("try_variant_get", value, place, text("array<variant>"))
        return call("coalesce", items, exp.array(call("try_variant_get", value, place, text("variant"))))

    def present(value: exp.Expr) -> exp.Expr:
        null = exp.or_(exp.Is(this=value.copy(), expression=exp.null()), call("is_variant_null", value))
        return exp.Not(this=null)

    return each("filter", call("flatten", each("transform", values, "v", inner)), "v", present)


def _hex_of_ipv4(value: exp.Expr) -> exp.Expr:
    def octet(part: exp.Expr) -> exp.Expr:
        number = exp.TryCast(this=part, to=exp.DataType.build("int"))
        return call("lpad", call("lower", call("hex", number)), integer(2), text("0"))

    return call("array_join", each("transform", call("split", value, text("[.]")), "octet", octet), text(""))


def _padded(part: exp.Expr) -> exp.Expr:
    return call("lpad", call("lower", part), integer(4), text("0"))


def _groups(value: exp.Expr) -> exp.Expr:
    """The eight groups; more or fewer if the text is no address after all."""
    left, right = (
        _present(call("split", call("split_part", value, text("::"), integer(n)), text(":"))) for n in (1, 2)
    )
    given = exp.Add(this=call("size", left), expression=call("size", right))
    # `::` stands for one group or more.
    missing = call("greatest", exp.Sub(this=integer(8), expression=exp.Paren(this=given)), integer(1))
    compressed = call("contains", value, text("::"))
    count = exp.Case(ifs=[exp.If(this=compressed, true=missing)], default=integer(0))
    return call("concat", left, call("array_repeat", text("0"), count), right)


def _present(parts: exp.Expr) -> exp.Expr:
    return each("filter", parts, "part", lambda part: exp.NEQ(this=part, expression=text("")))
