"""`tocsin rules`: check, test, run and list detection rules; with the very engine that the server runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.events import Refusals, read_source
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption
from tocsin.config import Settings, load_settings
from tocsin.model.event import Event, RefusedLine

if TYPE_CHECKING:
    from tocsin.detect.case import Outcome
    from tocsin.model.rule import Rule

__all__ = ["app"]

_PIPE_WIDTH = 250  # a pipe has no edge where a path must break
app = typer.Typer(help="Detection rules.", no_args_is_help=True)
PathsArgument = Annotated[list[Path] | None, typer.Argument(help="Rule files or folders; the active ones if none.")]


@app.command("list")
def list_rules(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the active rules."""
    from rich.console import Console
    from rich.table import Table

    rules = sorted(_rules(_paths(load_settings(config, data_dir=data_dir))), key=lambda rule: rule.title)
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


@app.command()
def check(paths: PathsArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Find what is wrong with rules: unreadable, unknown fields, never matching, ids; exit code 1 if any is."""
    from tocsin.detect.check import Severity, check

    chosen = paths or _paths(load_settings(config))
    problems = check(chosen)
    for problem in problems:
        typer.echo(msgspec.json.encode(problem) if as_json else str(problem))
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if not as_json:
        typer.echo(f"{len(_rules(chosen))} rules can be used; {errors} errors, {len(problems) - errors} warnings")
    if errors:
        raise typer.Exit(1)


@app.command("test")
def run_cases(paths: PathsArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run each rule on its recorded cases: it must fire on the one and not on the near miss; exit code 1 otherwise."""
    from tocsin.detect import case

    rules = _rules(paths or _paths(load_settings(config)))
    outcomes = [outcome for rule in rules for outcome in case.run_cases(rule)]
    failed = [outcome for outcome in outcomes if outcome.problem]
    for outcome in outcomes if as_json else failed:
        typer.echo(json.dumps(_outcome(outcome)) if as_json else f"{outcome.case}: {outcome.problem}")
    if not as_json:
        typer.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} cases as they should be")
    if failed:
        raise typer.Exit(1)


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="Files of events; - is standard input.")],
    rules: Annotated[list[Path] | None, typer.Option(help="Rules to run; the active ones if none is named.")] = None,
    source: Annotated[str, typer.Option(help="Format of the files: auditd, cloudtrail, k8s-audit, ocsf.")] = "ocsf",
    config: ConfigOption = None,
) -> None:
    """Run rules over files of events; prints each match as NDJSON. Exit code 1 if a line could not be read."""
    from tocsin.detect.engine import Engine
    from tocsin.detect.replay import replay

    refusals = Refusals()
    events = _readable(read_source(files, source), refusals)
    for finding in replay(Engine(_rules(rules or _paths(load_settings(config)))), events):
        typer.echo(msgspec.json.encode(finding))
    refusals.finish()


def _readable(items: Iterable[Event | RefusedLine], refusals: Refusals) -> Iterator[Event]:
    for item in items:
        if isinstance(item, Event):
            yield item
        else:
            refusals.add(f"line {item.line}", item)


def _paths(settings: Settings) -> list[Path]:
    from tocsin.detect.library import ruleset_folder

    return [*map(ruleset_folder, settings.rulesets), *settings.rules]


def _rules(paths: Iterable[Path]) -> tuple[Rule, ...]:
    from tocsin.detect.library import load

    library = load(paths)
    for error in library.refused:
        typer.echo(f"not used: {error}", err=True)
    return library.rules


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


def _outcome(outcome: Outcome) -> dict[str, object]:
    case = {"rule": outcome.rule.id, "case": str(outcome.case), "findings": outcome.findings}
    return case | {"problem": outcome.problem}
