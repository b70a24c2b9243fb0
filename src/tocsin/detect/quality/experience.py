"""What the platform has really seen of each rule: matches, alerts, and what people made of them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tocsin.state.tables import alert, alert_event, rule_cost, rule_hit, rule_state

__all__ = ["Experience", "Judgement", "experiences", "judged_alerts", "judgement"]

# What people write when they close an alert that was none. Looked for before the words for a true one: "not a true
# positive" is rare, "false positive, no incident" is not.
_FALSE: Final = re.compile(
    r"\bfalse[ -]?(?:positive|alarm)|\bfp\b|\bbenign\b|\bexpected\b|\bharmless\b|\bnois[ey]|\bauthori[sz]ed\b"
    r"|\blegitimate\b|\bnot (?:malicious|an? (?:attack|incident))|\bno (?:attack|incident)",
    re.IGNORECASE,
)
_TRUE: Final = re.compile(
    r"\btrue[ -]?positive|\btp\b|\bincident\b|\bmalicious\b|\bconfirmed\b|\bcompromis|\battack", re.IGNORECASE
)


class Judgement(enum.StrEnum):
    """What a person has made of an alert."""

    FALSE = "false positive"
    TRUE = "true positive"
    OPEN = "not judged"


def judgement(status: str, closed_reason: str | None) -> Judgement:
    """What somebody's handling of an alert says: its closing reason, in their words; an acknowledged one is true."""
    if status == "acknowledged":
        return Judgement.TRUE
    reason = closed_reason or ""
    if status != "closed" or not reason:
        return Judgement.OPEN
    if _FALSE.search(reason):
        return Judgement.FALSE
    return Judgement.TRUE if _TRUE.search(reason) else Judgement.OPEN


class Experience(msgspec.Struct):
    """One rule, since a time; times in ms, 0 for never."""

    matches: int = 0
    alerts: int = 0
    staged: int = 0
    suppressed: int = 0
    last_match_at: int = 0
    false_positives: int = 0
    true_positives: int = 0
    cost_ns: float | None = None  # per event that was judged, where it was measured
    state: str = ""  # staged, disabled, demoted, where somebody said so


def experiences(connection: sa.Connection, org: str, since_ms: int) -> dict[str, Experience]:
    """All that is known of the rules of an org since a time, by rule id."""
    found: dict[str, Experience] = {}
    for row in connection.execute(_hits(org, since_ms)):
        found[row.rule_id] = Experience(
            row.matches, row.alerts, row.staged, row.suppressed, last_match_at=row.last_hour
        )
    counted = frozenset(found)
    for row in connection.execute(_alerts(org, since_ms)):
        _add_alert(found.setdefault(row.rule_id, Experience()), row, counted=row.rule_id in counted)
    costs = sa.select(rule_cost.c.rule_id, rule_cost.c.took_ns, rule_cost.c.events)
    for row in connection.execute(costs.where(rule_cost.c.org == org, rule_cost.c.events > 0)):
        found.setdefault(row.rule_id, Experience()).cost_ns = row.took_ns / row.events
    for row in connection.execute(sa.select(rule_state).where(rule_state.c.org == org)):
        found.setdefault(row.rule_id, Experience()).state = row.state
    return found


def _hits(org: str, since_ms: int) -> sa.Select[Any]:
    sums = [sa.func.sum(rule_hit.c[name]).label(name) for name in ("matches", "alerts", "staged", "suppressed")]
    chosen = sa.select(rule_hit.c.rule_id, *sums, sa.func.max(rule_hit.c.hour).label("last_hour"))
    return chosen.where(rule_hit.c.org == org, rule_hit.c.hour >= since_ms).group_by(rule_hit.c.rule_id)


def _alerts(org: str, since_ms: int) -> sa.Select[Any]:
    columns = [alert.c[name] for name in ("rule_id", "status", "closed_reason", "event_count", "last_event_at")]
    return sa.select(*columns).where(alert.c.org == org, alert.c.last_event_at >= since_ms)


def _add_alert(experience: Experience, row: sa.Row[Any], *, counted: bool) -> None:
    """What people made of an alert; and its events, if hits of the rule were not counted when it was opened."""
    if not counted:
        experience.matches += row.event_count
        experience.alerts += 1
    judged = judgement(row.status, row.closed_reason)
    experience.false_positives += judged is Judgement.FALSE
    experience.true_positives += judged is Judgement.TRUE
    experience.last_match_at = max(experience.last_match_at, row.last_event_at)


def judged_alerts(connection: sa.Connection, org: str, rule_id: str, wanted: Judgement) -> list[dict[str, Any]]:
    """The events, as exported, of a rule's alerts that people have judged so."""
    of_rule = sa.select(alert.c.id, alert.c.status, alert.c.closed_reason)
    rows = connection.execute(of_rule.where(alert.c.org == org, alert.c.rule_id == rule_id)).all()
    keys = [row.id for row in rows if judgement(row.status, row.closed_reason) is wanted]
    return [event for some in _chunks(keys) for event in connection.scalars(_events(org, some))]


def _events(org: str, keys: list[str]) -> sa.Select[Any]:
    mine = (alert_event.c.org == org) & alert_event.c.alert_id.in_(keys)
    return sa.select(alert_event.c.event).where(mine).order_by(alert_event.c.time, alert_event.c.event_uid)


def _chunks(keys: list[str], size: int = 500) -> Iterable[list[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
