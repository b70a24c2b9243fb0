"""Spans of time as people write them."""

from __future__ import annotations

import re

from tocsin.model.errors import InvalidQuery

__all__ = ["milliseconds"]

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def milliseconds(period: str) -> int:
    """Length of a span such as 30s, 15m, 24h, 7d, 2w.

    Raises:
        InvalidQuery: it is not one.
    """
    found = re.fullmatch(r"(\d+)([smhdw])", period.strip())
    if found is None:
        raise InvalidQuery(f"{period!r} is no span of time; write 30s, 15m, 24h, 7d or 2w")
    return int(found[1]) * _UNITS[found[2]]
