"""The filter language: a SQL boolean expression over event attributes, read into the condition tree.

    process.name = 'nc' AND process.user.name <> 'root'
    file.path LIKE '/etc/%' AND NOT actor.process.name IN ('dpkg', 'apt')
    cidr(dst_endpoint.ip, '10.0.0.0/8') AND dst_endpoint.port >= 1024
    record(type = 'PATH' AND nametype = 'CREATE' AND name LIKE '/tmp/%')
    unmapped.source.userIdentity.type = 'Root' OR keyword('passwd')

`=`, IN and LIKE mind letter case, ILIKE and keyword do not. What is missing equals nothing, so `<>` and NOT hold there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, TokenError

from tocsin.conditions.sql_reader import Reader
from tocsin.model.condition import TRUE, Condition
from tocsin.model.errors import InvalidQuery

__all__ = ["parse_filter"]

_LONGEST: Final = 20_000


def parse_filter(text: str) -> Condition:
    """The condition that a filter says; an empty one holds for every event.

    Raises:
        InvalidQuery: it cannot be understood; the message names the place.
    """
    if not text.strip():
        return TRUE
    if len(text) > _LONGEST:
        raise InvalidQuery(f"the filter is {len(text)} characters long; {_LONGEST} is the most")
    try:
        return Reader().condition(_parsed(text))
    except RecursionError:
        raise InvalidQuery("the filter is nested too deeply") from None


def _parsed(text: str) -> exp.Expr:
    dialect = DuckDB()
    try:
        statements = dialect.parser().parse(_with_paths(dialect.tokenize(text)), text)
    except ParseError as error:
        details = error.errors[0] if error.errors else {}
        # The parser names a missing part by its own classes.
        said = str(details.get("description") or error).rstrip(".")
        what = "something is missing" if said.startswith("Required keyword") else said
        raise InvalidQuery(f"column {details.get('col', 1)}: {what}") from error
    except TokenError as error:
        raise InvalidQuery(f"the filter cannot be read: {str(error).splitlines()[0]}") from error
    if len(statements) != 1 or statements[0] is None:
        raise InvalidQuery("a filter is one expression, without semicolons")
    return statements[0]


def _with_paths(tokens: list[Token]) -> list[Token]:
    """The tokens, with each dotted path as one identifier: words of SQL such as `group` and `file` occur in paths."""
    merged: list[Token] = []
    before = [None, *tokens]
    for previous, token in pairwise(before):
        if merged and token is not None and _continues(merged[-1], previous, token):
            start = merged[-1]
            merged[-1] = Token(
                TokenType.IDENTIFIER, f"{start.text}.{token.text}", start.line, start.col, start.start, token.end
            )
        elif token is not None and not (token.token_type is TokenType.DOT and _is_word(merged[-1] if merged else None)):
            merged.append(token)
    return merged


def _continues(path: Token, previous: Token | None, token: Token) -> bool:
    """Is the token the next part of the path, right behind a dot that is right behind the path?"""
    dotted = previous is not None and previous.token_type is TokenType.DOT
    return dotted and _is_word(path) and _is_word(token)


def _is_word(token: Token | None) -> bool:
    return token is not None and (token.token_type is TokenType.IDENTIFIER or token.text[:1].isalpha())
