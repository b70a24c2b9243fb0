"""DuckDB's SQL."""

from __future__ import annotations

from sqlglot import exp

from tocsin.conditions.dialect import Make
from tocsin.conditions.literal import regex_source
from tocsin.conditions.source_sql import all_texts, texts_at
from tocsin.conditions.sql_parts import call, each, integer, text
from tocsin.conditions.standard_sql import Functions, StandardSql
from tocsin.model.condition import Regex

__all__ = ["DuckDbSql"]

_FUNCTIONS = Functions(
    contains="contains",
    startswith="starts_with",
    endswith="ends_with",
    matches="regexp_matches",
    size_bytes="strlen",
    hexadecimal="to_hex",
    split="string_split",
    joined="array_to_string",
    length="len",
    kept="list_filter",
    mapped="list_transform",
)


class DuckDbSql(StandardSql):
    """Over tables in the nested form, as Parquet or Arrow; its regular expressions are RE2's."""

    name = "duckdb"

    def __init__(self) -> None:
        super().__init__(_FUNCTIONS, escape="\\")

    def regex(self, test: Regex, value: exp.Expr) -> exp.Expr:
        return call("regexp_matches", value, text(regex_source(test)))

    def whole(self, value: exp.Expr, pattern: str) -> exp.Expr:
        return call("regexp_full_match", value, text(pattern))

    def some(self, values: exp.Expr, variable: str, make: Make) -> exp.Expr:
        passing = call("len", each("list_filter", values, variable, make))
        return exp.GT(this=call("coalesce", passing, integer(0)), expression=integer(0))

    def key_value(self, fields: exp.Expr, key: str) -> exp.Expr:
        return call("map_extract_value", fields, text(key))

    def texts_at(self, source: exp.Expr, path: str) -> exp.Expr:
        return texts_at(source, path)

    def all_texts(self, source: exp.Expr) -> exp.Expr:
        return all_texts(source)
