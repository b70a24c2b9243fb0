"""From sqlglot's expressions to the condition tree."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Final

from sqlglot import exp

from tocsin.conditions.following import FOLLOWING
from tocsin.conditions.literal import compile_regex, parse_network
from tocsin.conditions.pattern import pattern
from tocsin.model.condition import (
    FALSE,
    TRUE,
    And,
    Cidr,
    Compare,
    Condition,
    Exists,
    Field,
    Glob,
    InRecord,
    Keyword,
    Match,
    Not,
    Number,
    Or,
    Regex,
    Relation,
    SameAs,
    Scope,
    Test,
    Text,
    field_at,
)
from tocsin.model.errors import InvalidQuery, InvalidRule
from tocsin.model.schema import CLASSES, attribute

__all__ = ["Reader"]

_Expr = exp.Expr
# As written, and with its sides exchanged.
_COMPARE: Final[dict[type[_Expr], tuple[Compare, Compare]]] = {
    exp.LT: (Compare.LESS, Compare.GREATER),
    exp.LTE: (Compare.AT_MOST, Compare.AT_LEAST),
    exp.GT: (Compare.GREATER, Compare.LESS),
    exp.GTE: (Compare.AT_LEAST, Compare.AT_MOST),
}
_FLAGS: Final = {"i": "ignore_case", "m": "multiline", "s": "dot_all"}
_FUNCTIONS: Final = "contains, starts_with, ends_with, regexp_matches, cidr, keyword, record"


class Reader:
    """Reads expressions of one scope: those of the event, or inside record(...) those of one record."""

    def __init__(self, scope: Scope = Scope.ATTRIBUTE) -> None:
        self._scope = scope

    def condition(self, node: _Expr) -> Condition:
        """The condition that an expression says.

        Raises:
            InvalidQuery: it has no meaning here; names the place.
        """
        match node:
            case exp.And():
                return And(tuple(self._parts(exp.And, node)))
            case exp.Or():
                return Or(tuple(self._parts(exp.Or, node)))
            case exp.Paren():
                return self.condition(node.this)
            case exp.Not():
                return Not(self.condition(node.this))
            case exp.Boolean():
                return TRUE if node.this else FALSE
            case _:
                return self._leaf(node)

    def _parts(self, of: type[_Expr], node: _Expr) -> list[Condition]:
        """The parts of a chain of ANDs or ORs; chains lean to the left and may be long, hence the loop."""
        parts = []
        while isinstance(node, of):
            parts.append(self.condition(node.expression))
            node = node.this
        return [self.condition(node), *reversed(parts)]

    def _leaf(self, node: _Expr) -> Condition:
        reader = self._readers.get(type(node))
        if reader is None:
            raise _error(node, f"{_sql(node)!r} has no meaning in a filter")
        return reader(node)

    @cached_property
    def _readers(self) -> dict[type[_Expr], Callable[[_Expr], Condition]]:
        return {
            exp.EQ: self._equality,
            exp.NEQ: lambda node: Not(self._equality(node)),
            exp.In: self._in,
            exp.Is: self._is,
            exp.Between: self._between,
            exp.Like: self._like,
            exp.ILike: self._like,
            exp.Escape: self._like,
            exp.RegexpLike: self._regex,
            exp.Column: self._boolean,
            exp.Contains: partial(self._related, Relation.CONTAINS),
            exp.StartsWith: partial(self._related, Relation.STARTSWITH),
            exp.EndsWith: partial(self._related, Relation.ENDSWITH),
            exp.Anonymous: self._call,
            **dict.fromkeys(_COMPARE, self._comparison),
        }

    def _equality(self, node: _Expr) -> Condition:
        left, right = node.this, node.expression
        if isinstance(right, exp.Column) and not isinstance(left, exp.Column):
            left, right = right, left
        if isinstance(right, exp.Column):
            return self._match(node, left, SameAs(self._field(right), cased=True))
        return self._match(node, left, _equals(right))

    def _comparison(self, node: _Expr) -> Condition:
        straight, exchanged = _COMPARE[type(node)]
        if isinstance(node.this, exp.Column):
            return self._match(node, node.this, Number(straight, _number(node.expression)))
        return self._match(node, node.expression, Number(exchanged, _number(node.this)))

    def _between(self, node: _Expr) -> Condition:
        low, high = (_number(node.args[end]) for end in ("low", "high"))
        tests = Number(Compare.AT_LEAST, low), Number(Compare.AT_MOST, high)
        return And(tuple(self._match(node, node.this, test) for test in tests))

    def _in(self, node: _Expr) -> Condition:
        values = node.args.get("expressions")
        if not values:
            raise _error(node, "IN needs a list of values")
        return Or(tuple(self._match(node, node.this, _equals(value)) for value in values))

    def _is(self, node: _Expr) -> Condition:
        if isinstance(node.expression, exp.Null):
            return Not(self._match(node, node.this, Exists()))
        return self._match(node, node.this, _equals(node.expression))

    def _boolean(self, node: _Expr) -> Condition:
        return self._match(node, node, Text(Relation.EQUALS, "true", cased=True))

    def _like(self, node: _Expr) -> Condition:
        escape = ""
        like = node
        if isinstance(node, exp.Escape):
            escape, like = _string(node.expression), node.this
        parts = _like_parts(_string(like.expression), escape)
        return self._match(node, like.this, pattern(parts, cased=isinstance(like, exp.Like)))

    def _regex(self, node: _Expr) -> Condition:
        flag = node.args.get("flag")
        flags = _string(flag) if flag else ""
        if not set(flags) <= set(_FLAGS):
            raise _error(node, f"flags {flags!r}: only i, m and s are known")
        test = Regex(_string(node.expression), **{_FLAGS[each]: True for each in flags})
        try:
            compile_regex(test)
        except InvalidRule as error:
            raise _error(node, error.reason) from error
        return self._match(node, node.this, test)

    def _related(self, relation: Relation, node: _Expr) -> Condition:
        return self._relation(relation, node, node.this, node.expression)

    def _relation(self, relation: Relation, node: _Expr, place: _Expr, value: _Expr) -> Condition:
        if isinstance(value, exp.Column):
            return self._match(node, place, SameAs(self._field(value), relation, cased=True))
        return self._match(node, place, Text(relation, _string(value), cased=True))

    def _call(self, node: _Expr) -> Condition:
        match str(node.this).lower(), node.expressions:
            case "ends_with", [place, value]:
                return self._relation(Relation.ENDSWITH, node, place, value)
            case "cidr", [place, value]:
                return self._match(node, place, _network(value))
            case "keyword", [value]:
                return Keyword(Text(Relation.CONTAINS, _string(value)), _sql(node))
            case "record", [inner] if self._scope is Scope.ATTRIBUTE:
                return InRecord(Reader(Scope.RECORD).condition(inner))
            case name, arguments:
                raise _error(node, f"no function {name} of {len(arguments)} arguments here; there are {_FUNCTIONS}")

    def _field(self, node: _Expr) -> Field:
        if not isinstance(node, exp.Column):
            raise _error(node, f"expected an attribute, not {_sql(node)!r}")
        path = node.name
        if self._scope is Scope.RECORD and "." not in path:
            return Field(path, Scope.RECORD)
        field = field_at(path)
        if field.scope is Scope.ATTRIBUTE and attribute(path) is None and path not in FOLLOWING:
            raise _error(node, f"no attribute {path!r}{_suggestion(path)}")
        return field

    def _match(self, node: _Expr, place: _Expr, test: Test) -> Condition:
        field = self._field(place)
        match = Match(field, test, _sql(node))
        # Outside record(...), a term on a record's field holds if it holds for some record.
        alone = field.scope is Scope.RECORD and self._scope is not Scope.RECORD
        return InRecord(match) if alone else match


def _equals(value: _Expr) -> Test:
    if isinstance(value, exp.Boolean):
        return Text(Relation.EQUALS, "true" if value.this else "false", cased=True)
    if isinstance(value, exp.Literal) and value.is_string:
        return Text(Relation.EQUALS, _string(value), cased=True)
    return Number(Compare.EQUALS, _number(value))


def _number(value: _Expr) -> float:
    if isinstance(value, exp.Neg):
        return -_number(value.this)
    if not isinstance(value, exp.Literal) or value.is_string:
        raise _error(value, f"expected a number, not {_sql(value)!r}")
    return float(value.this)


def _string(value: _Expr) -> str:
    if isinstance(value, exp.Literal) and value.is_string and "\0" not in value.this:
        return str(value.this)
    raise _error(value, f"expected a text in single quotes, not {_sql(value)!r}")


def _network(value: _Expr) -> Cidr:
    try:
        return parse_network(_string(value))
    except ValueError as error:
        raise _error(value, str(error)) from error


def _like_parts(text: str, escape: str) -> Sequence[str | Glob]:
    parts: list[str | Glob] = []
    characters = iter(text)
    for character in characters:
        if escape and character == escape:
            parts.append(next(characters, escape))
        else:
            parts.append({"%": Glob.ANY, "_": Glob.ONE}.get(character, character))
    return parts


def _sql(node: _Expr) -> str:
    """The expression as a person would write it: paths without quotes."""
    return node.sql("duckdb").replace('"', "")


def _error(node: _Expr, what: str) -> InvalidQuery:
    positions = [found.meta["start"] for found in node.walk() if "start" in found.meta]
    return InvalidQuery(f"column {min(positions) + 1}: {what}" if positions else what)


def _suggestion(path: str) -> str:
    known = {*FOLLOWING} | {a.path for event_class in CLASSES.values() for a in event_class.attributes}
    inside = sorted((name for name in known if name.endswith(f".{path}")), key=len)
    near = inside or difflib.get_close_matches(path, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
