"""Spans of time as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from tocsin.model.errors import InvalidQuery

__all__ = ["LastOption", "SinceOption", "UntilOption", "milliseconds", "moment", "span"]

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

LastOption = Annotated[str, typer.Option(help="How far back: 24h, 7d, 30d.")]
SinceOption = Annotated[str, typer.Option(help="From this moment on instead: 2026-11-01 or 2026-11-01T08:00, UTC.")]
UntilOption = Annotated[str, typer.Option(help="Up to this moment; now if absent.")]


def milliseconds(period: str) -> int:
    """Length of a span such as 30s, 15m, 24h, 7d, 2w.

    Raises:
        InvalidQuery: it is not one.
    """
    found = re.fullmatch(r"(\d+)([smhdw])", period.strip())
    if found is None:
        raise InvalidQuery(f"{period!r} is no span of time; write 30s, 15m, 24h, 7d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def moment(text: str) -> int:
    """A day or a moment as milliseconds since the epoch; UTC unless it says otherwise.

    Raises:
        InvalidQuery: it is neither.
    """
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidQuery(f"{text!r} is no moment; write 2026-11-01 or 2026-11-01T08:00") from None
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1_000)


def span(last: str, since: str, until: str, now_ms: int) -> tuple[int, int]:
    """Start and end of the period that the three options mean; it ends a minute from now, for clocks that differ.

    Raises:
        InvalidQuery: one of them cannot be read, or the end is not after the start.
    """
    end = moment(until) if until else now_ms + 60_000
    start = moment(since) if since else (end if until else now_ms) - milliseconds(last)
    if start >= end:
        raise InvalidQuery("the period ends before it begins")
    return start, end
