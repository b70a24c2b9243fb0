"""Reading alerts: the queue page by page, one alert with its evidence, and what changed since."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tocsin.model.errors import BadInput, NotFound
from tocsin.model.event import Json
from tocsin.model.finding import MetTerm
from tocsin.model.life import severity
from tocsin.state.tables import alert, alert_event

__all__ = [
    "LEVELS",
    "SILENT",
    "STATUSES",
    "Alert",
    "Evidence",
    "Filter",
    "Page",
    "changed_since",
    "counts",
    "evidence",
    "first_events",
    "full_id",
    "page",
    "show",
]

STATUSES = ("open", "acknowledged", "closed")
SILENT = ("staged", "suppressed")  # of alerts that nobody is told of; not in the queue unless asked for
LEVELS = ("critical", "high", "medium", "low", "informational")


class Alert(msgspec.Struct, frozen=True):
    """An alert as people see it; times are milliseconds since the epoch."""

    id: str
    org: str
    rule_id: str
    rule_title: str
    title: str
    level: str
    severity: int  # 1 to 3, 1 being the highest
    tags: list[str]
    origin: str
    hostname: str
    group: dict[str, str]
    window_start: int
    window_end: int
    first_event_at: int
    last_event_at: int
    event_count: int
    status: str
    suppressed_by: str | None  # the suppression that hides it
    assignee: str | None
    acknowledged_at: int | None
    closed_reason: str | None
    closed_at: int | None
    created_at: int
    updated_at: int


class Evidence(msgspec.Struct, frozen=True):
    """One event that an alert is made of, whole, and the terms of the rule that it met."""

    event_uid: str
    class_uid: int
    time: int
    event: dict[str, Json]
    met: list[MetTerm]


class Filter(msgspec.Struct, frozen=True):
    """Which alerts of an org; empty means all."""

    status: str = ""  # empty: all of STATUSES
    level: str = ""
    text: str = ""  # somewhere in title, rule or host, whatever the letter case


class Page(msgspec.Struct, frozen=True):
    """Some alerts, newest first, and the cursor of the next page; no cursor after the last one."""

    alerts: list[Alert]
    cursor: str | None


_COLUMNS = [alert.c[name] for name in Alert.__struct_fields__ if name != "severity"]
_IN_QUEUE = alert.c.status.in_(STATUSES)


def page(connection: sa.Connection, org: str, wanted: Filter, *, cursor: str = "", limit: int = 50) -> Page:
    """One page of the queue; alerts that come or change meanwhile neither repeat nor hide others.

    Raises:
        BadInput: the cursor is none that a page gave.
    """
    query = _matching(sa.select(*_COLUMNS), org, wanted)
    if cursor:
        created_at, key = _decode_cursor(cursor)
        query = query.where(sa.tuple_(alert.c.created_at, alert.c.id) < sa.tuple_(created_at, key))
    newest = query.order_by(alert.c.created_at.desc(), alert.c.id.desc()).limit(limit + 1)
    found = [_alert(row) for row in connection.execute(newest).mappings()]
    more = len(found) > limit
    return Page(found[:limit], _encode_cursor(found[limit - 1]) if more else None)


def _matching(query: sa.Select[Any], org: str, wanted: Filter) -> sa.Select[Any]:
    query = query.where(alert.c.org == org)
    query = query.where(alert.c.status == wanted.status if wanted.status else _IN_QUEUE)
    if wanted.level:
        query = query.where(alert.c.level == wanted.level)
    if wanted.text:
        columns = (alert.c.title, alert.c.rule_title, alert.c.hostname, alert.c.rule_id)
        query = query.where(sa.or_(*(column.icontains(wanted.text, autoescape=True) for column in columns)))
    return query


def counts(connection: sa.Connection, org: str, wanted: Filter) -> dict[str, int]:
    """How many alerts of the queue there are per status; the filter's own status is ignored."""
    anywhere = msgspec.structs.replace(wanted, status="")
    query = _matching(sa.select(alert.c.status, sa.func.count()), org, anywhere).group_by(alert.c.status)
    return dict.fromkeys(STATUSES, 0) | {row[0]: row[1] for row in connection.execute(query)}


def show(connection: sa.Connection, org: str, key: str) -> Alert:
    """The alert of that id.

    Raises:
        NotFound: the org has none.
    """
    row = connection.execute(sa.select(*_COLUMNS).where(alert.c.org == org, alert.c.id == key)).mappings().first()
    if row is None:
        raise NotFound(f"there is no alert {key}")
    return _alert(row)


def full_id(connection: sa.Connection, org: str, beginning: str) -> str:
    """The id that begins so.

    Raises:
        NotFound: none does.
        BadInput: several do.
    """
    mine = sa.select(alert.c.id).where(alert.c.org == org, alert.c.id.startswith(beginning, autoescape=True)).limit(2)
    found = list(connection.scalars(mine))
    if not found:
        raise NotFound(f"there is no alert {beginning}")
    if len(found) > 1:
        raise BadInput(f"several alerts begin with {beginning}; give more of the id")
    return str(found[0])


def evidence(connection: sa.Connection, org: str, key: str) -> list[Evidence]:
    """The events that an alert keeps whole, in the order of time."""
    columns = [alert_event.c[name] for name in Evidence.__struct_fields__]
    mine = sa.select(*columns).where(alert_event.c.org == org, alert_event.c.alert_id == key)
    rows = connection.execute(mine.order_by(alert_event.c.time, alert_event.c.event_uid)).mappings()
    return [_evidence(row) for row in rows if row["event"] is not None]


def first_events(connection: sa.Connection, org: str, keys: Sequence[str]) -> dict[str, dict[str, Json]]:
    """Of each alert the first event that it keeps: what a row can show of the evidence."""
    # Event ids sort by time, so that the least one is found in the key's index without reading the others.
    first = alert_event.alias("first")
    of_alert = (first.c.org == org) & (first.c.alert_id == alert.c.id)
    earliest = sa.select(sa.func.min(first.c.event_uid)).where(of_alert).correlate(alert).scalar_subquery()
    mine = (alert_event.c.org == org) & (alert_event.c.alert_id == alert.c.id)
    wanted = (
        sa.select(alert.c.id, alert_event.c.event)
        .select_from(alert)
        .join(alert_event, mine & (alert_event.c.event_uid == earliest))
        .where(alert.c.org == org, alert.c.id.in_(keys))
    )
    return {row.id: row.event for row in connection.execute(wanted) if row.event}


def changed_since(connection: sa.Connection, org: str, since_ms: int, *, limit: int = 200) -> list[Alert]:
    """Alerts of the queue that are new or changed at or after that time, oldest change first."""
    mine = sa.select(*_COLUMNS).where(alert.c.org == org, alert.c.updated_at >= since_ms, _IN_QUEUE)
    rows = connection.execute(mine.order_by(alert.c.updated_at, alert.c.id).limit(limit)).mappings()
    return [_alert(row) for row in rows]


def _alert(row: sa.RowMapping) -> Alert:
    return Alert(**row, severity=severity(row["level"]))


def _evidence(row: sa.RowMapping) -> Evidence:
    met = msgspec.convert(row["met"], list[MetTerm])
    return Evidence(row["event_uid"], row["class_uid"], row["time"], row["event"], met)


def _encode_cursor(last: Alert) -> str:
    return base64.urlsafe_b64encode(f"{last.created_at}:{last.id}".encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> tuple[int, str]:
    try:
        created_at, _, key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        return int(created_at), key
    except (binascii.Error, ValueError) as error:
        raise BadInput("the cursor is not one that an earlier page gave") from error
