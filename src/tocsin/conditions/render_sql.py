"""Condition trees to SQL over the nested tables of the lake; a person's text is in literals only.

SQL has a third truth, null. Leaves may be null where they are false; AND and OR pass that on as if it were false, and
NOT is rendered over `coalesce(..., FALSE)`, so that a row is found exactly where the tree holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Final

from sqlglot import exp

from tocsin.conditions.clickhouse_sql import ClickHouseSql
from tocsin.conditions.dialect import Dialect, Make
from tocsin.conditions.duckdb_sql import DuckDbSql
from tocsin.conditions.following import FOLLOWING
from tocsin.conditions.spark_sql import SparkSql
from tocsin.conditions.sql_parts import all_of, any_of, call, own
from tocsin.conditions.text_sql import passes_sql, related_sql, related_to_any
from tocsin.model.condition import (
    SOURCE,
    And,
    Condition,
    Field,
    InRecord,
    Keyword,
    Match,
    Not,
    Or,
    Relation,
    SameAs,
    Scope,
    Test,
    Text,
    keyword_paths,
)
from tocsin.model.schema import CLASSES, RECORDS, Kind, attribute

__all__ = ["DIALECTS", "render_filter"]

_TYPE = "type"
DIALECTS: Final[dict[str, Dialect]] = {each.name: each for each in (DuckDbSql(), ClickHouseSql(), SparkSql())}


def render_filter(condition: Condition, class_uid: int, dialect: str = "duckdb") -> str:
    """The condition as an expression over a nested table of that class; a path that the class lacks is null.

    Raises:
        InvalidQuery: a literal that SQL cannot say, or something that this dialect cannot say exactly.
    """
    chosen = DIALECTS[dialect]
    return chosen.written(_Renderer(class_uid, chosen).condition(condition))


class _Renderer:
    """Renders for one class; inside InRecord, `record` is the record at hand."""

    def __init__(self, class_uid: int, dialect: Dialect, record: exp.Expr | None = None) -> None:
        self._class_uid, self._dialect, self._record = class_uid, dialect, record

    def condition(self, condition: Condition) -> exp.Expr:
        match condition:
            case And(parts):
                return all_of([self.condition(part) for part in parts])
            case Or(parts):
                return self._any(parts)
            case Not(part):
                return exp.Not(this=call("coalesce", self.condition(part), exp.false()))
            case InRecord(part):
                return self._dialect.some(_column(RECORDS), "record", lambda record: self._in(record).condition(part))
            case Keyword(test):
                return self._searched([test])
            case Match():
                return self._match(condition)

    def _any(self, parts: Sequence[Condition]) -> exp.Expr:
        """Alternatives; many on one field, and many keywords, are one look at the texts."""
        keywords = [part.test for part in parts if isinstance(part, Keyword)]
        literals: dict[tuple[Field, Relation, bool], list[str]] = {}
        others: list[exp.Expr] = []
        for part in parts:
            match part:
                case Match(field, Text(relation, value, cased)):
                    literals.setdefault((field, relation, cased), []).append(value)
                case Keyword():
                    pass
                case _:
                    others.append(self.condition(part))
        for (field, relation, cased), values in literals.items():
            others.append(self._some(field, "text", related_to_any(relation, values, self._dialect, cased=cased)))
        return any_of([*others, self._searched(keywords)] if keywords else others)

    def _match(self, leaf: Match) -> exp.Expr:
        if isinstance(leaf.test, SameAs):
            same = leaf.test
            return self._some(
                leaf.field,
                "ours",
                lambda ours: self._some(same.other, "theirs", related_sql(same, ours, self._dialect)),
            )
        return self._some(leaf.field, "text", lambda value: passes_sql(leaf.test, value, self._dialect))

    def _in(self, record: exp.Expr) -> _Renderer:
        return _Renderer(self._class_uid, self._dialect, record)

    def _some(self, field: Field, variable: str, make: Make) -> exp.Expr:
        """Some text of the field passes."""
        if field.scope is Scope.SOURCE:
            return self._dialect.some(self._dialect.texts_at(_column(SOURCE), field.path), variable, make)
        value = self._value(field)
        return exp.false() if value is None else make(value)

    def _value(self, field: Field) -> exp.Expr | None:
        if field.scope is Scope.RECORD:
            return None if self._record is None else self._record_value(self._record, field.path)
        if field.path in FOLLOWING:
            return self._dialect.as_text(_column(field.path))
        known = attribute(field.path)
        if known is None or field.path not in CLASSES[self._class_uid].paths:
            return None
        column = _column(field.path)
        text_like = known.kind in {Kind.STRING, Kind.JSON}
        return column if text_like else self._dialect.as_text(column)

    def _searched(self, tests: Sequence[Test]) -> exp.Expr:
        """Some searched text passes one of the tests."""

        def passes(value: exp.Expr) -> exp.Expr:
            return any_of([passes_sql(test, value, self._dialect) for test in tests])

        if self._record is not None:
            values = self._dialect.values(_part(self._record, "fields"))
            kind = self._record_value(self._record, _TYPE)
            return any_of([passes(kind), self._dialect.some(values, "text", passes)])
        attributes = exp.array(*map(_column, keyword_paths(self._class_uid)))
        sources = (attributes, self._dialect.all_texts(_column(SOURCE)))
        return any_of([self._dialect.some(texts, "text", passes) for texts in sources])

    def _record_value(self, record: exp.Expr, key: str) -> exp.Expr:
        return _part(record, _TYPE) if key == _TYPE else self._dialect.key_value(_part(record, "fields"), key)


def _column(path: str) -> exp.Expr:
    first, *inner = path.split(".")
    start: exp.Expr = exp.column(first, quoted=True)
    return reduce(_part, inner, start)


def _part(struct: exp.Expr, name: str) -> exp.Expr:
    return exp.Dot(this=own(struct), expression=exp.to_identifier(name, quoted=True))
