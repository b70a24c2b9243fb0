"""Texts in the original of a JSON source, as SQL lists."""

from __future__ import annotations

import json
from functools import reduce

from sqlglot import exp

from tocsin.conditions.sql_parts import call, each, own, text

__all__ = ["all_texts", "texts_at"]


def texts_at(source: exp.Expr, path: str) -> exp.Expr:
    """The texts at a path, as a list of strings; lists on the way and at the end are gone through."""
    start: exp.Expr = exp.array(_json(source))
    return _texts(reduce(_step, path.split("."), start))


def all_texts(source: exp.Expr) -> exp.Expr:
    """Every text in the original, however deep, without the keys."""

    def is_leaf(value: exp.Expr) -> exp.Expr:
        kinds = [text("OBJECT"), text("ARRAY")]
        return exp.Not(this=exp.In(this=call("json_type", value), expressions=kinds))

    return _texts(each("list_filter", call("json_extract", _json(source), text("$..*")), "value", is_leaf))


def _json(source: exp.Expr) -> exp.Expr:
    return exp.TryCast(this=own(source), to=exp.DataType.build("json"))


def _step(values: exp.Expr, key: str) -> exp.Expr:
    at = f"$.{json.dumps(key)}"

    def inner(value: exp.Expr) -> exp.Expr:
        is_list = exp.EQ(this=call("json_type", value, text(at)), expression=text("ARRAY"))
        items = call("json_extract", value, text(f"{at}[*]"))
        return exp.Case(
            ifs=[exp.If(this=is_list, true=items)], default=exp.array(call("json_extract", value, text(at)))
        )

    return call("flatten", each("list_transform", values, "value", inner))


def _texts(values: exp.Expr) -> exp.Expr:
    def is_present(value: exp.Expr) -> exp.Expr:
        return exp.NEQ(this=call("json_type", value), expression=text("NULL"))

    def as_text(value: exp.Expr) -> exp.Expr:
        is_string = exp.EQ(this=call("json_type", value), expression=text("VARCHAR"))
        plain = exp.Cast(this=own(value), to=exp.DataType.build("varchar"))
        return exp.Case(ifs=[exp.If(this=is_string, true=call("json_extract_string", value, text("$")))], default=plain)

    return each("list_transform", each("list_filter", values, "value", is_present), "value", as_text)
