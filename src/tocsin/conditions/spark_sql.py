"""Spark's SQL (4 or later), over Parquet files of the lake or tables made from them."""

from __future__ import annotations

from functools import reduce
from typing import Final

from sqlglot import exp

from tocsin.conditions.dialect import Make
from tocsin.conditions.java_regex import java_pattern
from tocsin.conditions.sql_parts import call, each, integer, own, text
from tocsin.conditions.standard_sql import Functions, StandardSql
from tocsin.conditions.token_sql import KEY, TOKEN
from tocsin.model.condition import Regex
from tocsin.model.errors import InvalidQuery

__all__ = ["SparkSql"]

_FUNCTIONS: Final = Functions(
    contains="contains",
    startswith="startswith",
    endswith="endswith",
    matches="regexp_like",
    size_bytes="octet_length",
    hexadecimal="hex",
    split="split",
    joined="array_join",
    length="size",
    kept="filter",
    mapped="transform",
)


class SparkSql(StandardSql):
    """Its regular expressions are Java's; originals are read as variants."""

    name = "spark"

    def __init__(self) -> None:
        super().__init__(_FUNCTIONS, escape="~")

    def written(self, expression: exp.Expr) -> str:
        # Spark puts its own variables in place of ${name}, even within a literal.
        return super().written(expression).replace("${", "\\u0024{")

    def regex(self, test: Regex, value: exp.Expr) -> exp.Expr:
        return call("regexp_like", value, text(java_pattern(test)))

    def some(self, values: exp.Expr, variable: str, make: Make) -> exp.Expr:
        return call("coalesce", each("exists", values, variable, make), exp.false())

    def key_value(self, fields: exp.Expr, key: str) -> exp.Expr:
        return call("try_element_at", fields, text(key))

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
            return exp.Case(ifs=[exp.If(this=is_string, true=parsed)], default=own(token))

        return each("transform", leaves, "v", as_text)


def _step(values: exp.Expr, key: str) -> exp.Expr:
    if "'" in key:
        raise InvalidQuery(f"the key {key!r} of an original cannot be named in Spark's SQL")
    place = text(f"$['{key}']")

    def inner(value: exp.Expr) -> exp.Expr:
        items = call("try_variant_get", value, place, text("array<variant>"))
        return call("coalesce", items, exp.array(call("try_variant_get", value, place, text("variant"))))

    def present(value: exp.Expr) -> exp.Expr:
        null = exp.or_(exp.Is(this=own(value), expression=exp.null()), call("is_variant_null", value))
        return exp.Not(this=null)

    return each("filter", call("flatten", each("transform", values, "v", inner)), "v", present)
