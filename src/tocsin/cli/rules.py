"""`tocsin rules`: check, test, run and list detection rules; with the very engine that the server runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.events import read_source
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption
from tocsin.config import load_settings
from tocsin.model.event import Event, RefusedLine

if TYPE_CHECKING:
    from tocsin.model.rule import Rule

__all__ = ["app"]

app = typer.Typer(help="Detection rules.", no_args_is_help=True)
_ROWS_AT_A_TIME = 4096


@app.command("list")
def list_rules(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the active rules."""
    from rich.console import Console
    from rich.table import Table

    from tocsin.wiring.rules import active_rules

    rules = sorted(active_rules(load_settings(config, data_dir=data_dir)), key=lambda rule: rule.title)
    if as_json:
        for rule in rules:
            typer.echo(json.dumps(_described(rule)))
        return
    table = Table("Level", "Title", "Log source", "Tags", box=None)
    for rule in rules:
        table.add_row(rule.level, rule.title, str(rule.logsource), " ".join(rule.tags))
    Console().print(table)


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


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="Files of events; - is standard input.")],
    rules: Annotated[list[Path] | None, typer.Option(help="Rules to run; the active ones if none is named.")] = None,
    source: Annotated[str, typer.Option(help="Format of the files: auditd, cloudtrail, k8s-audit, ocsf.")] = "ocsf",
    config: ConfigOption = None,
) -> None:
    """Run rules over files of events; prints each match as NDJSON. Exit code 1 if a line could not be read."""
    from tocsin.detect.engine import Engine
    from tocsin.wiring.rules import active_rules
    from tocsin.wiring.rules_run import findings

    settings = load_settings(config, rules=rules, rulesets=[] if rules else None)
    engine = Engine(active_rules(settings))
    refused = 0
    for events in _chunks(read_source(files, source)):
        readable = [event for event in events if isinstance(event, Event)]
        for line in (event for event in events if isinstance(event, RefusedLine)):
            refused += 1
            typer.echo(f"line {line.line}: {line.reason}", err=True)
        for finding in findings(engine, readable):
            typer.echo(msgspec.json.encode(finding))
    if refused:
        raise typer.Exit(1)


def _chunks(items: Iterator[Event | RefusedLine]) -> Iterator[list[Event | RefusedLine]]:
    chunk: list[Event | RefusedLine] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == _ROWS_AT_A_TIME:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
