"""Parts of points in time: which hour is it in a text?

A text is a point in time if it is written as in ISO 8601, whose parts are those that are written, whatever the zone; or
if it is a number of seconds, milliseconds, microseconds or nanoseconds since 1970, by its size, in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from tocsin.model.condition import TimeUnit

__all__ = ["EPOCH", "SCALES", "WRITTEN", "time_part"]

_DATE: Final = r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
_ZONE: Final = r"(?: ?(?:[Zz]|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
WRITTEN: Final = re.compile(f"{_DATE}(?:[Tt ]{_CLOCK}{_ZONE})?", re.ASCII)
EPOCH: Final = re.compile("[0-8]?[0-9]{1,18}", re.ASCII)  # 64 bits
# Numbers below the first are divided by the second to give seconds: until the year 5138 each is the only likely one.
SCALES: Final = ((10**11, 1), (10**14, 1000), (10**17, 10**6), (10**20, 10**9))
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_part(unit: TimeUnit, text: str) -> int | None:
    """The part of the point in time that a text is; None if it is none, or is written without that part."""
    if WRITTEN.fullmatch(text):
        return _of_written(unit, text)
    return _part(unit, _since_1970(int(text))) if EPOCH.fullmatch(text) else None


def _of_written(unit: TimeUnit, text: str) -> int | None:
    try:
        day = datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    if unit is TimeUnit.HOUR:
        return int(text[11:13]) if text[11:] else None
    if unit is TimeUnit.MINUTE:
        return int(text[14:16]) if text[11:] else None
    return _part(unit, day)


def _since_1970(number: int) -> datetime:
    scale = next(scale for below, scale in SCALES if number < below)
    return _START + timedelta(seconds=number // scale)


def _part(unit: TimeUnit, time: datetime) -> int:
    if unit is TimeUnit.WEEK:
        return time.isocalendar().week
    part: int = getattr(time, unit.value)
    return part
