"""`tocsin rules check` and `tocsin rules test`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.progress import progress
from tocsin.cli.rules.given import PathsArgument, active_paths, usable_rules
from tocsin.cli.settings import ConfigOption, JsonOption, load_settings

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


def run_cases(
    paths: PathsArgument = None,
    config: ConfigOption = None,
    junit: Annotated[Path | None, typer.Option(help="Also write a JUnit report to this file, for CI.")] = None,
    untested: Annotated[bool, typer.Option("--allow-untested", help="Rules without any case only count.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run each rule on its recorded cases: it must fire on the one and not on the near miss; exit code 1 otherwise."""
    from tocsin.detect.quality.case import has_cases, run_all_cases

    rules = usable_rules(paths or active_paths(load_settings(config)))
    tested = [rule for rule in rules if has_cases(rule)]
    with progress("rules") as show:
        outcomes = run_all_cases(tested if untested else rules, show)
    failed = [outcome for outcome in outcomes if outcome.problem]
    for outcome in outcomes if as_json else failed:
        typer.echo(json.dumps(_outcome(outcome)) if as_json else f"{outcome.case}: {outcome.problem}")
    if junit:
        _write_junit(junit, outcomes)
    if not as_json:
        typer.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} cases as they should be")
        typer.echo(f"{len(tested)} of {len(rules)} rules have cases")
    if failed:
        raise typer.Exit(1)


def _outcome(outcome: Outcome) -> dict[str, object]:
    case = {"rule": outcome.rule.id, "case": str(outcome.case), "findings": outcome.findings}
    return case | {"problem": outcome.problem, "also": outcome.also}


def _write_junit(file: Path, outcomes: list[Outcome]) -> None:
    from tocsin.detect.quality.junit import Case, junit_xml

    cases = (
        Case(each.case.name, each.rule.title, str(each.case), each.problem, out=f"{each.findings} findings")
        for each in outcomes
    )
    file.write_text(junit_xml("tocsin rules test", cases), "utf-8")
