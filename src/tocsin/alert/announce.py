"""What is said about a new alert, and the outbox rows that say it: one per enabled channel, beside the alert itself."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from tocsin.model.finding import Finding
from tocsin.model.life import severity
from tocsin.state.tables import channel, outbox

__all__ = ["EVENTS_SENT", "announce", "payload"]

EVENTS_SENT = 10


def announce(connection: sa.Connection, org: str, new: dict[str, list[Finding]], now_ms: int) -> None:
    """Put a notification about each new alert into the outbox, inside the transaction that makes the alert."""
    if not new:
        return
    enabled = sa.select(channel.c.id).where(channel.c.org == org, channel.c.enabled).order_by(channel.c.id)
    channels = list(connection.scalars(enabled))
    rows = [_row(org, number, key, found, now_ms) for key, found in new.items() for number in channels]
    if rows:
        connection.execute(sa.insert(outbox), rows)


def _row(org: str, channel_id: int, key: str, found: list[Finding], now_ms: int) -> dict[str, object]:
    return {
        "org": org,
        "channel_id": channel_id,
        "key": f"alert.opened-{key}-{channel_id}",
        "payload": payload(key, found, now_ms),
        "created_at": now_ms,
        "next_try_at": now_ms,
    }


def payload(key: str, found: list[Finding], now_ms: int) -> dict[str, object]:
    """The notification's body: the alert, why it fired, and its first events whole."""
    first = min(found, key=lambda finding: finding.time)
    start = first.window_start
    return {
        "type": "alert.opened",
        "timestamp": _iso(now_ms),
        "data": {
            "alert": {
                "id": key,
                "org": first.org,
                "title": first.title,
                "level": first.level,
                "severity": severity(first.level),
                "status": "open",
                "rule": {"id": first.rule_id, "title": first.rule_title, "tags": list(first.tags)},
                "host": {"origin": first.origin, "hostname": first.hostname},
                "group": first.group,
                "window": {"start": _iso(start), "end": _iso(start + first.window_ms)},
                "first_event_at": _iso(first.time),
                "last_event_at": _iso(max(finding.time for finding in found)),
                "event_count": len(found),
                "path": f"/alerts/{key}",
            },
            "events": [
                {"uid": f.event_uid, "why": msgspec.to_builtins(f.met), "event": f.event} for f in found[:EVENTS_SENT]
            ],
        },
    }


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
