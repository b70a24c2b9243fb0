"""What a backtest says of a rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from tocsin.detect.history.scan import Period
from tocsin.detect.history.tally import Group, Tally
from tocsin.model.finding import Finding, alert_id
from tocsin.model.rule import Rule

__all__ = ["Alert", "Day", "Report", "Suppression", "alerts_of", "days_of", "report"]

_DAY_MS: Final = 86_400_000
_TOP: Final = 10


class Day(msgspec.Struct, frozen=True):
    """One day of the period, UTC."""

    day: str  # 2026-11-23
    hits: int
    alerts: int  # whose window begins on that day


class Alert(msgspec.Struct, frozen=True):
    """An alert that the rule would have raised; its id is the one that it would have had."""

    id: str
    window_start: int  # ms
    group: dict[str, str]
    events: int


class Suppression(msgspec.Struct, frozen=True):
    """An expression that would have hidden some of the rule's hits, and how much of them."""

    expression: str
    hits: int
    alerts: int  # of which nothing would have been left


class Report(msgspec.Struct, frozen=True):
    """What a rule would have found in a period."""

    rule_id: str
    title: str
    level: str
    path: str
    since: int  # ms
    until: int  # ms
    judged: int  # events of the rule's classes in the period, as far as they are still kept
    hits: int
    days: list[Day]
    hosts: list[tuple[str, int]]  # the ten with most hits
    groups: dict[str, list[tuple[str, int]]]  # the same of the values of each group-by field
    alerts: int
    largest: list[Alert]  # the ten alerts of most events
    suppressions: list[Suppression]
    silent: bool = False  # raises no alerts of its own: a correlation names it


def report(rule: Rule, tally: Tally, org: str, period: Period, judged: int, suppressions: list[Suppression]) -> Report:
    """The report on one rule."""
    return Report(
        rule_id=rule.id,
        title=rule.title,
        level=rule.level,
        path=f"{rule.path}:{rule.line}" if rule.path else "",
        since=period.since,
        until=period.until,
        judged=judged,
        hits=tally.hits,
        days=days_of(tally, period),
        hosts=tally.hosts.most_common(_TOP),
        groups={path: tally.values_of(place).most_common(_TOP) for place, path in enumerate(rule.group_by)},
        alerts=len(tally.alerts),
        largest=[_alert(rule, group, count, org) for group, count in tally.alerts.most_common(_TOP)],
        suppressions=suppressions,
    )


def alerts_of(rule: Rule, tally: Tally, org: str) -> list[Alert]:
    """All alerts that the rule would have raised."""
    return [_alert(rule, group, count, org) for group, count in tally.alerts.items()]


def days_of(tally: Tally, period: Period) -> list[Day]:
    """Every day of the period."""
    alerts: dict[int, int] = {}
    for start, _ in tally.alerts:
        alerts[start // _DAY_MS] = alerts.get(start // _DAY_MS, 0) + 1
    wanted = range(period.since // _DAY_MS, (period.until - 1) // _DAY_MS + 1)
    return [Day(_date(day), tally.days[day], alerts.get(day, 0)) for day in wanted]


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def _alert(rule: Rule, group: Group, events: int, org: str) -> Alert:
    start, values = group
    named = dict(zip(rule.group_by, values, strict=True))
    # Only what decides about the id matters here; that it decides in one place alone matters more.
    standing_in = Finding(
        org, rule.id, "", "", rule.level, (), "", "", "", 0, start, named, rule.window_ms, met=(), event={}
    )
    return Alert(alert_id(standing_in), start, named, events)
