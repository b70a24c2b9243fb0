"""What people do with an alert: open -> acknowledged -> closed with a reason. A closed one stays closed."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.alert.read import SILENT, Alert, show
from tocsin.model.errors import BadInput, WrongState
from tocsin.state.tables import alert

__all__ = ["MAX_REASON", "acknowledge", "close"]

MAX_REASON = 2_000


def acknowledge(connection: sa.Connection, org: str, key: str, who: str, now_ms: int) -> Alert:
    """Say that somebody is looking at it; a second time changes nothing.

    Raises:
        NotFound: the org has no such alert.
        WrongState: it is closed, or nobody was told of it.
    """
    found = _told(connection, org, key)
    if found.status == "closed":
        raise WrongState(f"alert {key} is closed; a new window of its rule opens a new alert")
    if found.status == "open":
        _update(connection, org, key, status="acknowledged", assignee=who, acknowledged_at=now_ms, updated_at=now_ms)
    return show(connection, org, key)


def close(connection: sa.Connection, org: str, key: str, who: str, reason: str, now_ms: int) -> Alert:
    """Close it, with the reason why; later events of its window are counted, but never reopen it.

    Raises:
        BadInput: no reason, or one longer than MAX_REASON.
        NotFound: the org has no such alert.
        WrongState: it is closed already, or nobody was told of it.
    """
    reason = reason.strip()
    if not reason or len(reason) > MAX_REASON:
        raise BadInput(f"closing an alert needs a reason of at most {MAX_REASON} characters")
    if _told(connection, org, key).status == "closed":
        raise WrongState(f"alert {key} is closed already")
    _update(
        connection, org, key, status="closed", assignee=who, closed_reason=reason, closed_at=now_ms, updated_at=now_ms
    )
    return show(connection, org, key)


def _told(connection: sa.Connection, org: str, key: str) -> Alert:
    found = show(connection, org, key)
    if found.status in SILENT:
        raise WrongState(f"alert {key} is {found.status}: nobody was told of it, so there is nothing to answer")
    return found


def _update(connection: sa.Connection, org: str, key: str, **values: object) -> None:
    connection.execute(sa.update(alert).where(alert.c.org == org, alert.c.id == key).values(**values))
