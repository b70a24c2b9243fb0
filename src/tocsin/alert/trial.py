"""What a suppression would have hidden: tried on the events that alerts have kept."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import sqlalchemy as sa

from tocsin.alert.read import STATUSES
from tocsin.alert.silence import Holds
from tocsin.conditions.parse_sql import parse_filter
from tocsin.model.event import Json, flatten
from tocsin.state.tables import alert, alert_event

__all__ = ["Trial", "TriedAlert", "try_suppression"]

_ALERTS_READ = 500


class TriedAlert(msgspec.Struct, frozen=True):
    """An alert of which a suppression would have hidden something."""

    id: str
    rule_id: str
    title: str
    hostname: str
    status: str
    hidden: int  # of the events that it has kept
    kept: int
    events: int  # all of its events, kept or not

    @property
    def whole(self) -> bool:
        """Whether it would not have been opened at all, as far as its events were kept."""
        return self.hidden == self.kept


class Trial(msgspec.Struct, frozen=True):
    """What came of a trial."""

    alerts: int  # that were looked at
    touched: list[TriedAlert]

    @property
    def whole(self) -> int:
        """How many alerts would not have been opened."""
        return sum(each.whole for each in self.touched)


def try_suppression(
    connection: sa.Connection, org: str, expression: str, rule_id: str, since_ms: int, holds: Holds
) -> Trial:
    """What the suppression would have hidden of the alerts opened since then, newest first; nothing is changed.

    Raises:
        InvalidQuery: the expression cannot be understood.
    """
    condition = parse_filter(expression)
    touched: list[TriedAlert] = []
    looked_at = 0
    for found, events in _alerts(connection, org, rule_id, since_ms):
        looked_at += 1
        hidden = sum(holds(condition, flatten(event)) for event in events)
        if hidden:
            said = found.id, found.rule_id, found.title, found.hostname, found.status
            touched.append(TriedAlert(*said, hidden, len(events), found.event_count))
    return Trial(looked_at, touched)


def _alerts(
    connection: sa.Connection, org: str, rule_id: str, since_ms: int
) -> Iterator[tuple[sa.Row[tuple[object, ...]], list[dict[str, Json]]]]:
    """Alerts of the queue and the events that they have kept, some at a time."""
    names = ("id", "rule_id", "title", "hostname", "status", "event_count")
    wanted = sa.select(*(alert.c[name] for name in names)).where(
        alert.c.org == org, alert.c.created_at >= since_ms, alert.c.status.in_(STATUSES)
    )
    if rule_id:
        wanted = wanted.where(alert.c.rule_id == rule_id)
    rows = connection.execute(wanted.order_by(alert.c.created_at.desc(), alert.c.id)).all()
    for start in range(0, len(rows), _ALERTS_READ):
        some = rows[start : start + _ALERTS_READ]
        kept = _events(connection, org, [row.id for row in some])
        yield from ((row, kept[row.id]) for row in some if row.id in kept)


def _events(connection: sa.Connection, org: str, keys: list[str]) -> dict[str, list[dict[str, Json]]]:
    wanted = sa.select(alert_event.c.alert_id, alert_event.c.event)
    found: dict[str, list[dict[str, Json]]] = {}
    for row in connection.execute(wanted.where(alert_event.c.org == org, alert_event.c.alert_id.in_(keys))):
        if row.event:
            found.setdefault(row.alert_id, []).append(row.event)
    return found
