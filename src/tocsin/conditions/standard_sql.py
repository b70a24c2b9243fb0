"""What engines say alike, but for the names of their functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlglot import exp

from tocsin.conditions.address_sql import IPV4, IPV6, ends
from tocsin.conditions.dialect import Make, Network
from tocsin.conditions.sql_parts import call, each, integer, like_text, own, text, where
from tocsin.model.condition import Glob, Relation

__all__ = ["Functions", "StandardSql"]

_GROUPS: Final = 8  # of an IPv6 address


class Functions(msgspec.Struct, frozen=True):
    """What an engine calls them."""

    contains: str
    startswith: str
    endswith: str
    matches: str  # a regular expression, somewhere in the text
    size_bytes: str
    hexadecimal: str
    split: str
    joined: str
    length: str  # of a list
    kept: str  # those elements of a list for which a lambda holds
    mapped: str


class StandardSql:
    """An engine's SQL as far as it follows from the names of its functions, and how LIKE escapes."""

    name: str

    def __init__(self, functions: Functions, escape: str) -> None:
        self._functions, self._escape = functions, escape

    def written(self, expression: exp.Expr) -> str:
        return expression.sql(dialect=self.name)

    def contains(self, relation: Relation, value: exp.Expr, other: exp.Expr) -> exp.Expr:
        named = self._functions
        names = {
            Relation.CONTAINS: named.contains,
            Relation.STARTSWITH: named.startswith,
            Relation.ENDSWITH: named.endswith,
        }
        return call(names[relation], value, other)

    def whole(self, value: exp.Expr, pattern: str) -> exp.Expr:
        return call(self._functions.matches, value, text(rf"\A(?:{pattern})\z"))

    def wildcard(self, parts: Sequence[str | Glob], value: exp.Expr) -> exp.Expr:
        like = exp.Like(this=own(value), expression=text(like_text(parts, self._escape)))
        return exp.Escape(this=like, expression=text(self._escape))

    def is_ascii(self, value: exp.Expr) -> exp.Expr:
        return exp.EQ(this=call(self._functions.size_bytes, value), expression=call("char_length", value))

    def translated(self, value: exp.Expr, letters: str, replacements: str) -> exp.Expr:
        return call("translate", value, text(letters), text(replacements))

    def as_double(self, value: exp.Expr) -> exp.Expr:
        return _tried(value, "double")

    def as_integer(self, value: exp.Expr) -> exp.Expr:
        return _tried(value, "bigint")

    def quotient(self, value: exp.Expr, by: int) -> exp.Expr:
        return exp.Paren(this=exp.IntDiv(this=own(value), expression=integer(by)))

    def within(self, network: Network, value: exp.Expr) -> exp.Expr:
        low, high = map(text, ends(network))
        if network.version == 4:  # noqa: PLR2004 - the version of IP
            return where(self.whole(value, IPV4), exp.Between(this=self._hex_of_ipv4(value), low=low, high=high))
        groups = self._parts(self._without_gap(value))
        eight = exp.EQ(this=call(self._functions.length, groups), expression=integer(_GROUPS))
        inside = exp.Between(this=self._joined(groups, lambda part: _padded(part, 4)), low=low, high=high)
        return where(self.whole(value, IPV6), exp.and_(eight, inside))

    def as_text(self, column: exp.Expr) -> exp.Expr:
        return exp.Cast(this=column, to=exp.DataType.build("text"))

    def values(self, fields: exp.Expr) -> exp.Expr:
        return call("map_values", fields)

    def _hex_of_ipv4(self, value: exp.Expr) -> exp.Expr:
        def octet(part: exp.Expr) -> exp.Expr:
            return _padded(call(self._functions.hexadecimal, _tried(part, "int")), 2)

        return self._joined(self._parts(call("replace", value, text("."), text(":"))), octet)

    def _without_gap(self, value: exp.Expr) -> exp.Expr:
        """`::` written out as the groups that it stands for, one or more."""
        given = call(self._functions.length, self._parts(value))
        missing = call("greatest", exp.Sub(this=integer(_GROUPS), expression=given), integer(1))
        zeros = call("concat", text(":"), call("repeat", text("0:"), missing))
        return call("replace", value, text("::"), zeros)

    def _parts(self, value: exp.Expr) -> exp.Expr:
        """What stands between colons."""
        parts = call(self._functions.split, value, text(":"))
        return each(self._functions.kept, parts, "part", lambda part: exp.NEQ(this=part, expression=text("")))

    def _joined(self, parts: exp.Expr, make: Make) -> exp.Expr:
        return call(self._functions.joined, each(self._functions.mapped, parts, "part", make), text(""))


def _padded(digits: exp.Expr, width: int) -> exp.Expr:
    return call("lpad", call("lower", digits), integer(width), text("0"))


def _tried(value: exp.Expr, kind: str) -> exp.Expr:
    # Not `safe`, it would be a CAST in Spark, which raises.
    return exp.TryCast(this=own(value), to=exp.DataType.build(kind), safe=True)
