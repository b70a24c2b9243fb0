"""A backtest's report as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from tocsin.detect.history.report import Day, Report

__all__ = ["bars", "counts", "print_report"]

_WIDTH: Final = 40
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_SHOWN: Final = 5


def print_report(report: Report) -> None:
    """Print it; of a rule without hits, one line."""
    console = Console(highlight=False, soft_wrap=True)
    head = f"[bold]{escape(report.title)}[/bold]  [dim]{report.level}  {escape(report.path or report.rule_id)}[/dim]"
    if not report.hits:
        console.print(f"{head}  no hits in {report.judged:,} events")
        return
    console.print(f"\n{head}")
    console.print(f"  {report.hits:,} hits in {report.judged:,} events; {report.alerts:,} alerts")
    for line in bars(report.days):
        console.print(f"  {line}")
    console.print(f"  hosts: {counts(report.hosts)}")
    for path, values in report.groups.items():
        console.print(f"  by {path}: {counts(values)}")
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
