"""Backtests in JUnit's form, which every CI system shows: a rule is a test case, too many alerts are a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from tocsin.detect.history.report import Report

__all__ = ["junit_xml", "too_noisy"]

_DAY_MS: Final = 86_400_000


def too_noisy(report: Report, most_a_day: float | None) -> bool:
    """Would the rule have raised more alerts a day than that?"""
    return most_a_day is not None and _a_day(report) > most_a_day


def junit_xml(reports: Sequence[Report], most_a_day: float | None) -> str:
    """The reports as one test suite."""
    failures = sum(too_noisy(each, most_a_day) for each in reports)
    suite = ET.Element("testsuite", name="tocsin rules backtest", tests=str(len(reports)), failures=str(failures))
    for report in reports:
        suite.append(_case(report, most_a_day))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(report: Report, most_a_day: float | None) -> ET.Element:
    case = ET.Element("testcase", classname=report.rule_id, name=_plain(report.title), file=_plain(report.path))
    if too_noisy(report, most_a_day):
        text = f"{_a_day(report):.1f} alerts a day; {most_a_day:g} are allowed"
        failure = ET.SubElement(case, "failure", message=text, type="noise")
        failure.text = _plain(
            "\n".join(f"{each.expression}: {each.alerts} alerts less" for each in report.suppressions)
        )
    out = ET.SubElement(case, "system-out")
    out.text = f"{report.hits} hits and {report.alerts} alerts in {report.judged} events"
    return case


def _a_day(report: Report) -> float:
    return report.alerts * _DAY_MS / (report.until - report.since)


def _plain(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
