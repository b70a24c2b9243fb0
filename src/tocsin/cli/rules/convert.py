"""`tocsin rules convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tocsin.cli.rules.given import usable_rules
from tocsin.cli.settings import JsonOption
from tocsin.model.errors import InvalidQuery
from tocsin.model.schema import CLASSES

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(convert)


def convert(
    rules: Annotated[list[Path], typer.Argument(help="Rule files or folders.")],
    to: Annotated[str, typer.Option(help="duckdb, clickhouse or spark.")] = "duckdb",
    as_json: JsonOption = False,
) -> None:
    """Print rules as SQL over the lake's tables, one statement per event class; exit code 1 if one cannot be said."""
    from tocsin.conditions.render_sql import DIALECTS, render_filter

    if to not in DIALECTS:
        raise InvalidQuery(f"no dialect {to!r}; there are {', '.join(sorted(DIALECTS))}")
    refused = 0
    for rule in usable_rules(rules):
        for class_uid in rule.class_uids:
            try:
                where = render_filter(rule.condition, class_uid, to)
            except InvalidQuery as error:
                refused += 1
                typer.echo(f"{rule.path}:{rule.line}: {error}", err=True)
                break
            table = CLASSES[class_uid].name
            sql = f"SELECT * FROM {table} WHERE {where}"  # noqa: S608 -- printed, and rendered from the tree
            said = {"rule": rule.id, "class_uid": class_uid, "table": table, "sql": sql}
            typer.echo(msgspec.json.encode(said) if as_json else f"-- {rule.title}: {table}\n{sql};\n")
    if refused:
        raise typer.Exit(1)
