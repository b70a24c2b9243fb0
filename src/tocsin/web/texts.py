"""How times, numbers and JSON are written on the pages; Jinja's filters."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec
from markupsafe import Markup, escape

__all__ = ["FILTERS", "ago", "clock", "count", "day", "hour", "iso", "json_text", "marked", "span", "tick"]

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_JUST_NOW_MS = 5 * _SECOND
_SHORTEST_MARK = 2


def _utc(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def iso(time_ms: int) -> str:
    """Machine-readable time: 2026-11-23T19:01:18.123Z."""
    return _utc(time_ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03}Z"


def clock(time_ms: int) -> str:
    """Time of day to the millisecond: 19:01:18.123."""
    return _utc(time_ms).strftime("%H:%M:%S.") + f"{time_ms % 1000:03}"


def hour(time_ms: int) -> str:
    """Time of day to the minute: 19:01."""
    return f"{_utc(time_ms):%H:%M}"


def tick(time_ms: int, shown_ms: int) -> str:
    """A time on an axis, as exact as the axis is long."""
    if shown_ms > 2 * _DAY:
        return f"{_utc(time_ms):%-d %b}"
    return hour(time_ms) if shown_ms > 10 * _MINUTE else f"{_utc(time_ms):%H:%M:%S}"


def day(time_ms: int) -> str:
    """The date: 23 Nov 2026."""
    return f"{_utc(time_ms):%-d %b %Y}"


def ago(time_ms: int, now_ms: int) -> str:
    """How long ago, in the largest unit: 3 min ago."""
    passed = now_ms - time_ms
    return "just now" if passed < _JUST_NOW_MS else f"{span(passed)} ago"


def span(length_ms: int) -> str:
    """A length of time in its largest unit: 41 s, 3 min, 2 h, 5 d."""
    for unit_ms, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (_SECOND, "s")):
        if length_ms >= unit_ms:
            return f"{length_ms // unit_ms} {name}"
    return f"{max(0, length_ms)} ms"


def count(number: int) -> str:
    """A number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def json_text(value: object) -> str:
    """Indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def marked(value: str, term: str) -> Markup:
    """The value with the parts marked that the term's literal occurs in, whatever the letter case."""
    literal = term.partition(": ")[2].strip()
    if len(literal) < _SHORTEST_MARK:
        return escape(value)
    parts = re.split(f"({re.escape(literal)})", value, flags=re.IGNORECASE)
    pieces = (Markup("<mark>{}</mark>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts))
    return Markup("").join(pieces)


FILTERS = {
    "clock": clock,
    "count": count,
    "day": day,
    "hour": hour,
    "iso": iso,
    "json_text": json_text,
    "marked": marked,
    "span": span,
    "tick": tick,
}
