"""Small pieces of SQL as expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from tocsin.model.condition import Glob
from tocsin.model.errors import InvalidQuery

__all__ = ["all_of", "any_of", "call", "each", "integer", "like_text", "own", "text", "where"]


def text(value: str) -> exp.Expr:
    """A string literal.

    Raises:
        InvalidQuery: it holds a NUL, which SQL cannot say.
    """
    if "\0" in value:
        raise InvalidQuery("a text with a NUL character cannot be searched for")
    return exp.Literal.string(value)


def integer(value: int) -> exp.Expr:
    """An integer literal."""
    return exp.Literal.number(value)


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function of the engine, by its name; arguments may be used more than once."""
    expressions: list[exp.Expr] = []
    for argument in arguments:
        twice = any(argument is each for each in expressions)
        expressions.append(argument.copy() if twice else own(argument))
    return exp.Anonymous(this=name, expressions=expressions)


def own(expression: exp.Expr) -> exp.Expr:
    """The expression to be part of one more: itself, if it is part of none yet, else a copy.

    Copies are what rendering takes its time for.
    """
    return expression if expression.parent is None else expression.copy()


def each(name: str, values: exp.Expr, variable: str, make: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """A list function over a lambda."""
    body = make(exp.column(variable))
    return call(name, values, exp.Lambda(this=body, expressions=[exp.to_identifier(variable)]))


def where(guard: exp.Expr, condition: exp.Expr) -> exp.Expr:
    """The condition where the guard holds; the engine may compute it elsewhere too, so it must not raise."""
    return exp.Case(ifs=[exp.If(this=guard, true=condition)], default=exp.false())


def like_text(parts: Sequence[str | Glob], escape: str) -> str:
    """A pattern of LIKE."""
    wild = {Glob.ANY: "%", Glob.ONE: "_"}
    special = {"%", "_", escape}
    return "".join(
        wild[part] if isinstance(part, Glob) else "".join(escape * (each in special) + each for each in part)
        for part in parts
    )


def all_of(parts: Sequence[exp.Expr]) -> exp.Expr:
    """Every part; of none: true."""
    return exp.and_(*parts, copy=False) if parts else exp.true()


def any_of(parts: Sequence[exp.Expr]) -> exp.Expr:
    """Some part; of none: false."""
    return exp.or_(*parts, copy=False) if parts else exp.false()
