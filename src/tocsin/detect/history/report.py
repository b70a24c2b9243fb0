"""What a backtest says of a rule."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Final

import msgspec

from tocsin.detect.history.in_force import HiddenTallies, Terms
from tocsin.detect.history.scan import Period
from tocsin.detect.history.tally import Group, Tally
from tocsin.model.finding import Finding, alert_id
from tocsin.model.rule import Rule

__all__ = ["Alert", "Budget", "Day", "Hidden", "Judged", "Report", "Suppression", "alerts_of", "days_of", "report"]

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


class Hidden(msgspec.Struct, frozen=True):
    """What a suppression that is in force would have hidden of a rule's hits."""

    id: str
    expression: str
    owner: str
    expires_at: int  # ms
    hits: int
    alerts: int  # of which nothing would have been left


class Budget(msgspec.Struct, frozen=True):
    """What a rule's noise budget would have done."""

    alerts_a_day: int
    exceeded_on: str  # the first such day, on which the rule would have been staged; empty: never
    told: int  # alerts before that


class Report(msgspec.Struct, frozen=True):
    """What a rule would have found in a period; hits, days, hosts, groups and alerts are without what was hidden."""

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
    hidden: list[Hidden] = []  # by suppressions that are in force
    budget: Budget | None = None  # None: it may open as many alerts as it likes
    silent: bool = False  # raises no alerts of its own: a correlation names it


class Judged(msgspec.Struct, frozen=True):
    """What was counted of one rule."""

    rule: Rule
    tally: Tally  # of all hits
    events: int  # of its classes
    hidden: HiddenTallies


def report(judged: Judged, org: str, period: Period, terms: Terms, suppressions: list[Suppression]) -> Report:
    """The report on one rule; the suppressions are those that are proposed."""
    rule, tally = judged.rule, judged.tally.without(judged.hidden.values())
    days = days_of(tally, period)
    return Report(
        rule_id=rule.id,
        title=rule.title,
        level=rule.level,
        path=f"{rule.path}:{rule.line}" if rule.path else "",
        since=period.since,
        until=period.until,
        judged=judged.events,
        hits=tally.hits,
        days=days,
        hosts=tally.hosts.most_common(_TOP),
        groups={path: tally.values_of(place).most_common(_TOP) for place, path in enumerate(rule.group_by)},
        alerts=len(tally.alerts),
        largest=[_alert(rule, group, count, org) for group, count in tally.alerts.most_common(_TOP)],
        suppressions=suppressions,
        hidden=_hidden(judged, terms),
        budget=_budget(days, rule.life.noise_budget or terms.noise_budget),
    )


def _hidden(judged: Judged, terms: Terms) -> list[Hidden]:
    return [
        Hidden(each.id, each.expression, each.owner, each.expires_at, gone.hits, judged.tally.emptied_by(gone))
        for each in terms.suppressions
        if (gone := judged.hidden.get(each.id))
    ]


def _budget(days: list[Day], allowed: int) -> Budget | None:
    if not allowed:
        return None
    before = list(itertools.takewhile(lambda day: day.alerts <= allowed, days))
    told = sum(day.alerts for day in before)
    if len(before) == len(days):
        return Budget(allowed, "", told)
    return Budget(allowed, days[len(before)].day, told + allowed)


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
