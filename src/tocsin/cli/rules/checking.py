"""`tocsin rules check` and `tocsin rules test`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import typer

from tocsin.cli.rules.given import PathsArgument, active_paths, usable_rules
from tocsin.cli.settings import ConfigOption, JsonOption
from tocsin.config import load_settings

if TYPE_CHECKING:
    from tocsin.detect.quality.case import Outcome

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)
    app.command("test")(run_cases)


def check(paths: PathsArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Find what is wrong with rules: unreadable, unknown fields, never matching, ids; exit code 1 if any is."""
    from tocsin.detect.quality.check import Severity, check

    chosen = paths or active_paths(load_settings(config))
    problems = check(chosen)
    for problem in problems:
        typer.echo(msgspec.json.encode(problem) if as_json else str(problem))
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if not as_json:
        used = len(usable_rules(chosen))
        typer.echo(f"{used} rules can be used; {errors} errors, {len(problems) - errors} warnings")
    if errors:
        raise typer.Exit(1)


def run_cases(paths: PathsArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run each rule on its recorded cases: it must fire on the one and not on the near miss; exit code 1 otherwise."""
    from tocsin.detect.quality import case

    rules = usable_rules(paths or active_paths(load_settings(config)))
    outcomes = [outcome for rule in rules for outcome in case.run_cases(rule)]
    failed = [outcome for outcome in outcomes if outcome.problem]
    for outcome in outcomes if as_json else failed:
        typer.echo(json.dumps(_outcome(outcome)) if as_json else f"{outcome.case}: {outcome.problem}")
    if not as_json:
        typer.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} cases as they should be")
    if failed:
        raise typer.Exit(1)


def _outcome(outcome: Outcome) -> dict[str, object]:
    case = {"rule": outcome.rule.id, "case": str(outcome.case), "findings": outcome.findings}
    return case | {"problem": outcome.problem}
