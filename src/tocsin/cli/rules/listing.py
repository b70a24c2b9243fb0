"""`tocsin rules list`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from tocsin.cli.rules.given import active_paths, usable_rules
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption
from tocsin.config import load_settings

if TYPE_CHECKING:
    from tocsin.model.rule import Rule

__all__ = ["add_to"]

_PIPE_WIDTH = 250  # a pipe has no edge where a path must break


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_rules)


def list_rules(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the active rules."""
    from rich.console import Console
    from rich.table import Table

    paths = active_paths(load_settings(config, data_dir=data_dir))
    rules = sorted(usable_rules(paths), key=lambda rule: rule.title)
    if as_json:
        for rule in rules:
            typer.echo(json.dumps(_described(rule)))
        return
    table = Table("Level", "Title", "Log source", "Tags", "File", box=None)
    for rule in rules:
        table.add_row(rule.level, rule.title, str(rule.logsource), " ".join(rule.tags), f"{rule.path}:{rule.line}")
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(table)


def _described(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "title": rule.title,
        "level": rule.level,
        "logsource": str(rule.logsource),
        "tags": list(rule.tags),
        "path": rule.path,
        "line": rule.line,
    }
