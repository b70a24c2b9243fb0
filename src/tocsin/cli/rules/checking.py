"""`tocsin rules check` and `tocsin rules test`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import typer

from tocsin.cli.progress import progress
from tocsin.cli.rules.given import PathsArgument, active_paths, usable_rules
from tocsin.cli.settings import ConfigOption, JsonOption
from tocsin.config import load_settings

if TYPE_CHECKING:
    from tocsin.detect.quality.case import Outcome
    from tocsin.detect.quality.check import Report

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)
    app.command("test")(run_cases)


def check(paths: PathsArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Find what is wrong with rules: unreadable, unknown fields, never matching, ids; exit code 1 if any is."""
    from tocsin.detect.quality.check import Severity, report

    chosen = paths or active_paths(load_settings(config))
    with progress("checking rules") as show:
        found = report(chosen, show)
    for problem in found.problems:
        typer.echo(msgspec.json.encode(problem) if as_json else str(problem))
    errors = sum(problem.severity is Severity.ERROR for problem in found.problems)
    if not as_json:
        typer.echo(f"{_used(found)} can be used; {errors} errors, {len(found.problems) - errors} warnings")
    if errors:
        raise typer.Exit(1)


def _used(report: Report) -> str:
    others = ((report.correlations, "correlations"), (report.filters, "filters"))
    return ", ".join([f"{report.rules} rules", *(f"{count} {name}" for count, name in others if count)])


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
