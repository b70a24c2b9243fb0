"""A backtest's report as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from tocsin.detect.history.report import Day, Report

__all__ = ["bars", "counts", "print_reports"]

_WIDTH: Final = 40
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_SHOWN: Final = 5


def print_reports(reports: Sequence[Report], *, verbose: bool = False) -> None:
    """Print those with hits, in their order, and how many have none; which ones, if so much is wanted."""
    console = Console(highlight=False, soft_wrap=True)
    for report in reports:
        if report.hits or report.hidden:
            _print_report(console, report)
    without = [report for report in reports if not (report.hits or report.hidden)]
    if without:
        listed = ":" if verbose else "; --verbose lists them"
        console.print(f"\n{len(without):,} {'rule' if len(without) == 1 else 'rules'} without hits{listed}")
    for report in without if verbose else ():
        console.print(f"  {_head(report)}  none in {report.judged:,} events")


def _head(report: Report) -> str:
    return f"[bold]{escape(report.title)}[/bold]  [dim]{report.level}  {escape(report.path or report.rule_id)}[/dim]"


def _print_report(console: Console, report: Report) -> None:
    console.print(f"\n{_head(report)}")
    alerts = "raises none of its own: a correlation names it" if report.silent else f"{report.alerts:,} alerts"
    console.print(f"  {report.hits:,} hits in {report.judged:,} events; {alerts}")
    for line in bars(report.days, with_alerts=not report.silent):
        console.print(f"  {line}")
    if report.hosts:
        console.print(f"  hosts: {counts(report.hosts)}")
    for path, values in report.groups.items():
        if values:
            console.print(f"  by {path}: {counts(values)}")
    for hidden in report.hidden:
        gone = f"{hidden.hits:,} more hits and {hidden.alerts:,} alerts"
        console.print(f"  {gone} are suppressed by {hidden.id} of {escape(hidden.owner)}:")
        console.print(f"    [cyan]{escape(hidden.expression)}[/cyan]")
    if report.budget and report.budget.exceeded_on:
        allowed = f"its noise budget of {report.budget.alerts_a_day:,} alerts a day"
        console.print(f"  {allowed} would have staged it on {report.budget.exceeded_on}: {report.budget.told:,} told")
    if report.suppressions:
        console.print("  what would have quietened it:")
    for each in report.suppressions:
        removed = f"{each.alerts:,} alerts, {each.hits:,} hits"
        console.print(f"    [cyan]{escape(each.expression)}[/cyan]\n      would have removed {removed}")


def bars(days: list[Day], *, with_alerts: bool = True) -> Iterable[str]:
    """A line per day with a bar for its hits; days without any at the start and the end are left out."""
    with_hits = [at for at, day in enumerate(days) if day.hits]
    most = max((day.hits for day in days), default=0)
    shown = days[with_hits[0] : with_hits[-1] + 1] if with_hits else []
    for day in shown:
        alerts = f", {day.alerts:,} alerts" if with_alerts else ""
        yield f"{day.day}  {_bar(day.hits / most):<{_WIDTH}}  {day.hits:,} hits{alerts}"


def _bar(share: float) -> str:
    eighths = max(1, round(share * _WIDTH * 8)) if share else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def counts(found: list[tuple[str, int]]) -> str:
    """The first few, most first."""
    parts = [f"{escape(value or '(none)')} {count:,}" for value, count in found[:_SHOWN]]
    more = len(found) - len(parts)
    return ", ".join(parts) + (f", and {more} more" if more > 0 else "")
