"""`tocsin rules list`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import typer

from tocsin.cli.opened import opened
from tocsin.cli.rules.given import active_paths, usable_rules
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, load_settings
from tocsin.model.errors import NotFound

if TYPE_CHECKING:
    from rich.table import Table

    from tocsin.config import Settings
    from tocsin.detect.life.overview import Overview, RuleSeen
    from tocsin.model.rule import Rule

__all__ = ["add_to"]

_PIPE_WIDTH = 250  # a pipe has no edge where a path must break


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_rules)


def list_rules(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the rules: of a server with their states and the hits of seven days, else those of the settings."""
    try:
        server = opened(config, data_dir)
    except NotFound:
        _list_files(load_settings(config, data_dir=data_dir), as_json=as_json)
        return
    from tocsin.detect.life.books import RuleBooks
    from tocsin.detect.life.overview import Rules
    from tocsin.state.engine import reading

    rules = Rules(RuleBooks(server.settings.rulesets, server.settings.rules))
    with reading(server.state) as connection:
        seen = rules.overview(connection, server.org, server.now_ms)
    if as_json:
        for rule in seen.rules:
            typer.echo(msgspec.json.encode(rule))
    else:
        _print(_table(seen))
    _say_problems(seen)


def _say_problems(seen: Overview) -> None:
    for error in seen.refused:
        typer.echo(f"not used: {error}", err=True)
    for running in seen.in_use:
        if running.problem:
            typer.echo(
                f"{running.consumer} runs {running.rules} rules and refuses newer ones: {running.problem}", err=True
            )


def _table(seen: Overview) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("State", "Level", "Title", "Ruleset", box=None)
    for heading in ("Matches", "Alerts", "Staged", "Hidden", "CPU ms"):
        table.add_column(heading, justify="right")
    table.add_column("Id", no_wrap=True)
    for rule in seen.rules:
        numbers = (rule.matches, rule.alerts, rule.staged, rule.suppressed, round(rule.cost_ms or 0))
        cells = (_state(rule), rule.level, rule.title, rule.ruleset, *(str(n) if n else "" for n in numbers), rule.id)
        table.add_row(*map(Text, cells))
    return table


def _state(rule: RuleSeen) -> str:
    return f"{rule.state} by {rule.state_by}" if rule.state_by else rule.state


def _list_files(settings: Settings, *, as_json: bool) -> None:
    from rich.table import Table

    rules = sorted(usable_rules(active_paths(settings)), key=lambda rule: rule.title)
    if as_json:
        for rule in rules:
            typer.echo(json.dumps(_described(rule)))
        return
    table = Table("Level", "Title", "Log source", "Tags", "File", box=None)
    for rule in rules:
        table.add_row(rule.level, rule.title, str(rule.logsource), " ".join(rule.tags), f"{rule.path}:{rule.line}")
    _print(table)


def _print(table: Table) -> None:
    from rich.console import Console

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
