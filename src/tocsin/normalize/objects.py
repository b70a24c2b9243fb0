"""JSON objects of any product: a Base Event each, with the object itself as original.

For rules of log sources that have no normaliser yet (okta, azure, github, ...): their fields are paths of the original.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, Json, RefusedLine, Value
from tocsin.normalize.lines import Object, epoch_ms, read_json_lines

__all__ = ["as_paths", "read_events"]

_BASE_EVENT, _OTHER = 0, 99
_WRAPPERS = ("Records", "records", "value", "events", "items")
_TIMES = (
    "time",
    "timestamp",
    "@timestamp",
    "eventTime",
    "published",
    "createdDateTime",
    "CreationTime",
    "TimeGenerated",
    "created_at",
    "ts",
)
_SECONDS_BELOW = 10**11  # as milliseconds this is 1973; as seconds it is far off


def read_events(lines: Iterable[bytes], *, now_ms: int) -> Iterator[Event | RefusedLine]:
    """An event for every object; one that names no time happened at `now_ms`."""

    def normalize(nested: Object) -> Event:
        values: dict[str, Value] = {
            "time": _time_ms(nested, now_ms),
            "activity_id": _OTHER,
            "severity_id": 1,
            "unmapped.source": msgspec.json.encode(as_paths(nested)).decode(),
        }
        return Event(_BASE_EVENT, values)

    return read_json_lines(lines, normalize, _unwrap)


def _unwrap(nested: Object) -> Json:
    return next((held for name in _WRAPPERS if len(nested) < 4 and isinstance(held := nested.get(name), list)), None)  # noqa: PLR2004 -- a wrapper holds little else


def _time_ms(nested: Object, now_ms: int) -> int:
    stamp = next((nested[name] for name in _TIMES if nested.get(name)), None)
    if isinstance(stamp, int | float) and not isinstance(stamp, bool) and 0 < stamp < 2**52:
        return int(stamp * 1000) if stamp < _SECONDS_BELOW else int(stamp)
    try:
        return epoch_ms(stamp, "time")
    except InvalidEvent:
        return now_ms


def as_paths(flat: Object) -> Object:
    """Keys with dots as paths, as Zeek writes them (`id.orig_h`); rules name paths."""
    if not any("." in key for key in flat):
        return flat
    nested: Object = {}
    for key, value in flat.items():
        *folders, leaf = key.split(".")
        place = nested
        for folder in folders:
            inner = place.setdefault(folder, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            place.setdefault(leaf, value)
            continue
        nested[key] = value
    return nested
