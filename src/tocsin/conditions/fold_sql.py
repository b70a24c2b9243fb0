"""Simple case folding in SQL, exactly, without an engine's own idea of letter case.

Only characters that fold to one of a literal's can match it, so only these are translated; what an engine's `lower`
does is relied on for ASCII alone. tests/conditions holds this against every character there is.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache

from sqlglot import exp

from tocsin.conditions.dialect import Dialect
from tocsin.conditions.sql_parts import call, own
from tocsin.model.condition import fold, fold_table

__all__ = ["fold_sql", "folded"]


@cache
def _unfolded() -> dict[str, str]:
    """Folded character -> the characters that fold to it."""
    found: defaultdict[str, str] = defaultdict(str)
    for point, target in fold_table().items():
        found[chr(target)] += chr(point)
    return dict(found)


def folded(value: exp.Expr, literal: str, dialect: Dialect) -> exp.Expr:
    """SQL for a text that compares with the folded literal as the folded value would."""
    return _translated(value, "".join(sorted(set(fold(literal)))), dialect)


def fold_sql(value: exp.Expr, dialect: Dialect) -> exp.Expr:
    """SQL for the folded value, whatever it is compared with."""
    return _translated(value, "".join(_unfolded()), dialect)


def _translated(value: exp.Expr, letters: str, dialect: Dialect) -> exp.Expr:
    pairs = [(other, letter) for letter in letters for other in _unfolded().get(letter, "")]
    if not pairs:
        return own(value)
    translated = dialect.translated(value, "".join(a for a, _ in pairs), "".join(b for _, b in pairs))
    return exp.Case(ifs=[exp.If(this=dialect.is_ascii(value), true=call("lower", value))], default=translated)
