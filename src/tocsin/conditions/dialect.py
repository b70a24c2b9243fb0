"""What each query engine says in its own way; all else of a condition's SQL is the same everywhere."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Protocol

from sqlglot import exp

from tocsin.model.condition import Glob, Regex, Relation

__all__ = ["Dialect", "Make", "Network"]

Make = Callable[[exp.Expr], exp.Expr]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Dialect(Protocol):
    """An engine's SQL. A value is an expression that may be null, and what is made of null is null or false.

    What an engine cannot say exactly raises InvalidQuery.
    """

    @property
    def name(self) -> str:
        """As sqlglot calls it."""
        ...

    def written(self, expression: exp.Expr) -> str:
        """The finished SQL."""
        ...

    def contains(self, relation: Relation, value: exp.Expr, other: exp.Expr) -> exp.Expr:
        """One text contains, starts or ends with another, minding case."""
        ...

    def regex(self, test: Regex, value: exp.Expr) -> exp.Expr:
        """RE2 would find the pattern in the text."""
        ...

    def whole(self, value: exp.Expr, pattern: str) -> exp.Expr:
        """The whole text is the pattern, which has no flags and no letters beyond ASCII."""
        ...

    def wildcard(self, parts: Sequence[str | Glob], value: exp.Expr) -> exp.Expr:
        """The whole text is the parts in order, minding case."""
        ...

    def is_ascii(self, value: exp.Expr) -> exp.Expr:
        """The text has no character beyond ASCII."""
        ...

    def translated(self, value: exp.Expr, letters: str, replacements: str) -> exp.Expr:
        """Each of the letters in the text replaced by the one at its place."""
        ...

    def as_double(self, value: exp.Expr) -> exp.Expr:
        """The text as a 64-bit float; null, never an error, where it is none."""
        ...

    def as_integer(self, value: exp.Expr) -> exp.Expr:
        """The text as a 64-bit integer; null, never an error, where it is none."""
        ...

    def quotient(self, value: exp.Expr, by: int) -> exp.Expr:
        """An integer that is not negative, divided by another, without the rest."""
        ...

    def within(self, network: Network, value: exp.Expr) -> exp.Expr:
        """The text is an address of the network, as `conditions.literal.address` reads it."""
        ...

    def as_text(self, column: exp.Expr) -> exp.Expr:
        """The text of a number or boolean."""
        ...

    def some(self, values: exp.Expr, variable: str, make: Make) -> exp.Expr:
        """Some element of the list passes; false, not null, where there is no list."""
        ...

    def key_value(self, fields: exp.Expr, key: str) -> exp.Expr:
        """The value of a key in a map; null if there is none."""
        ...

    def values(self, fields: exp.Expr) -> exp.Expr:
        """All values of a map as a list."""
        ...

    def texts_at(self, source: exp.Expr, path: str) -> exp.Expr:
        """The texts at a path in a JSON text, as a list; lists on the way and at the end are gone through."""
        ...

    def all_texts(self, source: exp.Expr) -> exp.Expr:
        """Every text in a JSON text, however deep, without the keys."""
        ...
