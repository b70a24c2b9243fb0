"""Findings become alerts: grouped by rule, group and window, counted once per event, announced once per alert.

An alert keeps the first EVIDENCE_KEPT events whole and the ids of the first UIDS_KEPT, so that a replay of these adds
nothing. Beyond that the count relies on the caller, who commits its offsets in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from tocsin.alert.announce import announce
from tocsin.metrics import ALERTS
from tocsin.model.finding import EVIDENCE_KEPT, Finding, alert_id
from tocsin.state.tables import alert, alert_event

__all__ = ["UIDS_KEPT", "Recorded", "record"]

UIDS_KEPT = 1_000
_CHUNK = 400  # bound parameters per statement; SQLite's limit is 32,766, older builds have 999

_T = TypeVar("_T")


class _Known(msgspec.Struct, frozen=True):
    """What the state already holds of an alert."""

    first_event_at: int
    last_event_at: int
    event_count: int


class Recorded(msgspec.Struct):
    """What became of findings."""

    changed: list[str] = []  # ids of alerts that are new or have changed
    opened: list[Finding] = []  # the first finding of every new alert that somebody is told of


def record(connection: sa.Connection, findings: Sequence[Finding], now_ms: int) -> Recorded:
    """Write findings to their alerts, inside the caller's transaction.

    A new alert also gets one notification per enabled channel of its org, unless its findings are staged or suppressed.
    A finding whose event is already part of its alert changes nothing. A closed alert goes on counting but stays
    closed: only a new window opens a new alert.
    """
    recorded = Recorded()
    for org in sorted({finding.org for finding in findings}):
        of_org = _record_org(connection, org, [f for f in findings if f.org == org], now_ms)
        recorded.changed += of_org.changed
        recorded.opened += of_org.opened
    return recorded


def _record_org(connection: sa.Connection, org: str, findings: list[Finding], now_ms: int) -> Recorded:
    by_alert = _by_alert(findings)
    known = _known(connection, org, list(by_alert))
    fresh = _without_seen(connection, org, by_alert, set(known))
    _insert_alerts(connection, {key: found for key, found in fresh.items() if key not in known}, now_ms)
    for key, found in fresh.items():
        if key in known:
            _extend(connection, org, key, known[key], found, now_ms)
    _insert_events(connection, fresh, {key: was.event_count for key, was in known.items()})
    opened = {key: found for key, found in fresh.items() if key not in known and _status(found[0]) == "open"}
    announce(connection, org, opened, now_ms)
    return Recorded(list(fresh), [_first(found) for found in opened.values()])


def _status(finding: Finding) -> str:
    """The status of a new alert; of one that nobody is told of, why not."""
    return "suppressed" if finding.suppressed_by else "staged" if finding.staged else "open"


def _first(found: list[Finding]) -> Finding:
    return min(found, key=lambda finding: finding.time)


def _by_alert(findings: list[Finding]) -> dict[str, list[Finding]]:
    grouped: dict[str, dict[str, Finding]] = {}
    for finding in findings:
        grouped.setdefault(alert_id(finding), {}).setdefault(finding.event_uid, finding)
    return {key: list(found.values()) for key, found in grouped.items()}


def _known(connection: sa.Connection, org: str, ids: list[str]) -> dict[str, _Known]:
    columns = sa.select(alert.c.id, alert.c.first_event_at, alert.c.last_event_at, alert.c.event_count)
    known = {}
    for chunk in _chunks(ids):
        for row in connection.execute(columns.where(alert.c.org == org, alert.c.id.in_(chunk))):
            known[row.id] = _Known(row.first_event_at, row.last_event_at, row.event_count)
    return known


def _without_seen(
    connection: sa.Connection, org: str, by_alert: dict[str, list[Finding]], known: set[str]
) -> dict[str, list[Finding]]:
    """The findings whose events are not yet part of their alerts; alerts that get none are left out."""
    fresh = {}
    for key, found in by_alert.items():
        seen = _seen(connection, org, key, [f.event_uid for f in found]) if key in known else set()
        if left := [finding for finding in found if finding.event_uid not in seen]:
            fresh[key] = left
    return fresh


def _seen(connection: sa.Connection, org: str, key: str, uids: list[str]) -> set[str]:
    mine = sa.select(alert_event.c.event_uid).where(alert_event.c.org == org, alert_event.c.alert_id == key)
    return {
        uid for chunk in _chunks(uids) for uid in connection.scalars(mine.where(alert_event.c.event_uid.in_(chunk)))
    }


def _insert_alerts(connection: sa.Connection, new: dict[str, list[Finding]], now_ms: int) -> None:
    rows = [_alert_row(key, found, now_ms) for key, found in new.items()]
    if rows:
        connection.execute(sa.insert(alert), rows)
        # A transaction that is rolled back opens no alerts.
        sa.event.listen(connection, "commit", lambda _connection: _count(rows), once=True)


def _count(rows: list[dict[str, object]]) -> None:
    for row in rows:
        if row["status"] == "open":
            ALERTS.labels(row["level"]).inc()


def _alert_row(key: str, found: list[Finding], now_ms: int) -> dict[str, object]:
    first = _first(found)
    start = first.window_start
    return {
        "id": key,
        "org": first.org,
        "rule_id": first.rule_id,
        "rule_title": first.rule_title,
        "title": first.title,
        "level": first.level,
        "tags": list(first.tags),
        "origin": first.origin,
        "hostname": first.hostname,
        "group": first.group,
        "window_start": start,
        "window_end": start + first.window_ms,
        "first_event_at": first.time,
        "last_event_at": max(finding.time for finding in found),
        "event_count": len(found),
        "status": _status(first),
        "suppressed_by": first.suppressed_by or None,
        "created_at": now_ms,
        "updated_at": now_ms,
    }


def _extend(connection: sa.Connection, org: str, key: str, was: _Known, found: list[Finding], now_ms: int) -> None:
    times = [finding.time for finding in found]
    connection.execute(
        sa.update(alert)
        .where(alert.c.org == org, alert.c.id == key)
        .values(
            first_event_at=min(was.first_event_at, *times),
            last_event_at=max(was.last_event_at, *times),
            event_count=was.event_count + len(found),
            updated_at=now_ms,
        )
    )


def _insert_events(connection: sa.Connection, fresh: dict[str, list[Finding]], counts: dict[str, int]) -> None:
    rows = []
    for key, found in fresh.items():
        for place, finding in enumerate(found[: max(0, UIDS_KEPT - counts.get(key, 0))], counts.get(key, 0)):
            # Detection leaves the event out where it expects more than are kept; a replay may have moved the place.
            rows.append(_event_row(key, finding, whole=place < EVIDENCE_KEPT and bool(finding.event)))
    if rows:
        connection.execute(sa.insert(alert_event), rows)


def _event_row(key: str, finding: Finding, *, whole: bool) -> dict[str, object]:
    return {
        "org": finding.org,
        "alert_id": key,
        "event_uid": finding.event_uid,
        "class_uid": finding.class_uid,
        "time": finding.time,
        "event": finding.event if whole else None,
        "met": msgspec.to_builtins(finding.met) if whole else [],
    }


def _chunks(items: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
