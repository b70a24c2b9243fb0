"""Backtests in JUnit's form, which every CI system shows: a rule is a test case, too many alerts are a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tocsin.detect.history.report import Report
from tocsin.detect.quality import junit

__all__ = ["junit_xml", "too_noisy"]

_DAY_MS: Final = 86_400_000


def too_noisy(report: Report, most_a_day: float | None) -> bool:
    """Would the rule have raised more alerts a day than that?"""
    return most_a_day is not None and _a_day(report) > most_a_day


def junit_xml(reports: Sequence[Report], most_a_day: float | None) -> str:
    """The reports as one test suite."""
    return junit.junit_xml("tocsin rules backtest", (_case(report, most_a_day) for report in reports))


def _case(report: Report, most_a_day: float | None) -> junit.Case:
    noisy = too_noisy(report, most_a_day)
    quieter = "\n".join(f"{each.expression}: {each.alerts} alerts less" for each in report.suppressions)
    return junit.Case(
        report.title,
        report.rule_id,
        report.path,
        failure=f"{_a_day(report):.1f} alerts a day; {most_a_day:g} are allowed" if noisy else "",
        kind="noise",
        details=quieter,
        out=f"{report.hits} hits and {report.alerts} alerts in {report.judged} events",
    )


def _a_day(report: Report) -> float:
    return report.alerts * _DAY_MS / (report.until - report.since)
