"""Noise budgets: a rule that opens more alerts in a day than it may is staged, and one alert says so.

A day is one of event time, in UTC, so that a replay demotes the same rules at the same alerts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec
import sqlalchemy as sa

from tocsin.model.finding import Finding, alert_id
from tocsin.model.life import State
from tocsin.state.life.hits import DAY_MS, add_noise, noise
from tocsin.state.life.states import Given, give_state, states
from tocsin.state.tables import alert

__all__ = ["NOISE_RULE", "Budget", "charge", "within"]

NOISE_RULE = "tocsin:noise-budget"
_AUTHOR = "noise budget"

# How many alerts a day a rule of an org may open; None: as many as it likes.
Budget = Callable[[str, str], int | None]
_Place = tuple[str, str, int]  # org, rule, day


def within(connection: sa.Connection, findings: Sequence[Finding], budget: Budget, now_ms: int) -> list[Finding]:
    """The findings, those staged whose alerts are beyond their rule's budget, and one more for each rule demoted."""
    excess: dict[str, Finding] = {}
    demoted: list[Finding] = []
    rules = {(finding.org, finding.rule_id) for finding in findings if finding.rule_id != NOISE_RULE}
    budgets = {rule: allowed for rule in rules if (allowed := budget(*rule)) is not None}
    counted = [finding for finding in findings if (finding.org, finding.rule_id) in budgets]
    for place, alerts in _alerts_by_place(counted).items():
        allowed = budgets[place[:2]]
        if beyond := _beyond(connection, place, alerts, allowed):
            excess |= beyond
            demoted += _demote(connection, next(iter(beyond.values())), allowed, now_ms)
    if not excess:
        return list(findings)
    return [_staged(finding) if alert_id(finding) in excess else finding for finding in findings] + demoted


def charge(connection: sa.Connection, opened: Iterable[Finding]) -> None:
    """Count the first findings of new alerts against the budgets of their rules."""
    counted: defaultdict[_Place, int] = defaultdict(int)
    for first in opened:
        counted[first.org, first.rule_id, _day(first)] += 1
    add_noise(connection, counted)


def _alerts_by_place(findings: Iterable[Finding]) -> dict[_Place, dict[str, Finding]]:
    """The first finding of every alert that somebody would be told of, in the order of time."""
    found: defaultdict[_Place, dict[str, Finding]] = defaultdict(dict)
    for finding in sorted(findings, key=lambda each: (each.time, each.event_uid)):
        if not finding.staged and not finding.suppressed_by:
            found[finding.org, finding.rule_id, _day(finding)].setdefault(alert_id(finding), finding)
    return found


def _beyond(connection: sa.Connection, place: _Place, alerts: dict[str, Finding], allowed: int) -> dict[str, Finding]:
    """Those alerts that are new and for which nothing is left of the budget."""
    left = max(0, allowed - noise(connection, *place))
    if len(alerts) <= left:
        return {}
    known = _known(connection, place[0], list(alerts))
    fresh = {key: first for key, first in alerts.items() if key not in known}
    return dict(list(fresh.items())[left:])


def _known(connection: sa.Connection, org: str, keys: list[str]) -> set[str]:
    mine = sa.select(alert.c.id).where(alert.c.org == org)
    chunks = (keys[start : start + 400] for start in range(0, len(keys), 400))
    return {key for chunk in chunks for key in connection.scalars(mine.where(alert.c.id.in_(chunk)))}


def _demote(connection: sa.Connection, first: Finding, allowed: int, now_ms: int) -> list[Finding]:
    """Stage the rule from now on; gives what the alert about it says, unless another one has said so."""
    before = states(connection, first.org).get(first.rule_id)
    if before is not None and before.state is State.DEMOTED:
        return []
    reason = f"it opened more than {allowed} alerts in a day"
    give_state(connection, first.org, first.rule_id, Given(State.DEMOTED, reason, _AUTHOR, now_ms))
    return [_notice(first, reason)]


def _notice(first: Finding, reason: str) -> Finding:
    return Finding(
        org=first.org,
        rule_id=NOISE_RULE,
        rule_title="A rule is noisier than its budget allows",
        title=f"{first.rule_title}: silent from now on, {reason}",
        level="medium",
        tags=(),
        origin=first.origin,
        hostname="",
        event_uid=first.event_uid,
        class_uid=0,
        time=first.time,
        group={"rule": first.rule_id},
        window_ms=DAY_MS,
        met=(),
        event={},
    )


def _staged(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, staged=True)


def _day(finding: Finding) -> int:
    return finding.time - finding.time % DAY_MS
