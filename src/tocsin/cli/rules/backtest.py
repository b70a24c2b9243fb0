"""`tocsin rules backtest`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.period import LastOption, SinceOption, UntilOption, span
from tocsin.cli.progress import progress
from tocsin.cli.rules.given import named_library
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings

if TYPE_CHECKING:
    from tocsin.detect.history.report import Report

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(backtest)


def backtest(  # noqa: PLR0913, PLR0917 -- the parameters are the options
    rules: Annotated[
        list[str] | None,
        typer.Argument(help="Rule files, folders, or ids of active rules and correlations; all active ones if none."),
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    last: LastOption = "30d",
    since: SinceOption = "",
    until: UntilOption = "",
    junit: Annotated[Path | None, typer.Option(help="Also write a JUnit report to this file, for CI.")] = None,
    most: Annotated[
        float | None, typer.Option("--max-alerts", min=0, help="A rule with more alerts a day fails: exit code 1.")
    ] = None,
    regardless: Annotated[
        bool, typer.Option("--without-suppressions", help="As if no suppression were in force, and no noise budget.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="List rules without hits too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what rules would have found in what is stored: hits per day, hosts, alerts, and what would quieten them.

    What suppressions that are in force would have hidden is told apart.
    """
    from tocsin.cli.rules.backtest_text import print_reports
    from tocsin.detect.history.in_force import NO_TERMS
    from tocsin.detect.history.junit import junit_xml, too_noisy
    from tocsin.detect.history.scan import Period
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.lake.storage import open_storage
    from tocsin.wiring.processes.first_start import open_server_state
    from tocsin.wiring.stored.history import History, terms_in_force, where_they_apply

    settings = existing_settings(config, data_dir)
    now = SystemClock().now_ms()
    period = Period(*span(last, since, until, now))
    chosen = named_library(rules or [], settings)
    state = open_server_state(settings, now)
    chosen = where_they_apply(chosen, state, settings)
    terms = NO_TERMS if regardless else terms_in_force(state, settings, now)
    with closing(open_storage(settings, state)) as storage, progress("events") as bar:
        reports = History(storage.query, settings.org).backtest(chosen, period, bar, terms)
    reports.sort(key=lambda each: -(each.hits + sum(one.hits for one in each.hidden)))
    if as_json:
        for each in reports:
            typer.echo(msgspec.json.encode(each))
    else:
        print_reports(reports, verbose=verbose)
        typer.echo(_summary(reports))
    if junit:
        junit.write_text(junit_xml(reports, most), "utf-8")
    if any(too_noisy(each, most) for each in reports):
        raise typer.Exit(1)


def _summary(reports: list[Report]) -> str:
    matched = sum(bool(each.hits) for each in reports)
    alerts, hits = sum(each.alerts for each in reports), sum(each.hits for each in reports)
    judged = max((each.judged for each in reports), default=0)
    hidden = sum(each.hits for report in reports for each in report.hidden)
    return f"{matched} of {len(reports)} rules matched: {hits:,} hits in up to {judged:,} events, {alerts:,} alerts" + (
        f"; {hidden:,} more hits are suppressed" if hidden else ""
    )
