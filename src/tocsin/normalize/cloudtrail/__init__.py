"""AWS CloudTrail: API activity, and authentication, account changes and groups where the call is about identities.

The whole original stays under `unmapped.source`, so that every JSON path of it can be used in rules and search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from tocsin.model.event import Event, Json, RefusedLine
from tocsin.normalize.cloudtrail.record import normalize
from tocsin.normalize.lines import Object, read_json_lines

__all__ = ["normalize", "read_events"]

_WRAPPERS = ("Records", "Events", "events")


def read_events(lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    """CloudTrail records: alone, in arrays, or as the services of AWS that pass them on wrap them.

    Those are a log file's {"Records": [...]}, `lookup-events`, EventBridge's "detail", subscriptions of CloudWatch, and
    the "data" of CloudEvents and of StreamAlert's test cases.
    Digest files have no records in them and give no events.
    """
    return read_json_lines(lines, normalize, _unwrap)


def _unwrap(nested: Object) -> Json:
    """What a wrapper holds; in "data" there may be another."""
    data = nested.get("data")
    if isinstance(data, dict) and "eventName" not in nested:
        return data if (held := _held(data)) is None else held
    return _held(nested)


def _held(nested: Object) -> Json:
    if "eventName" in nested or "insightDetails" in nested:  # a record itself
        return None
    if isinstance(event := nested.get("CloudTrailEvent"), str):
        return cast("Json", msgspec.json.decode(event))
    if isinstance(detail := nested.get("detail"), dict) and "eventName" in detail:
        return detail
    if isinstance(messages := nested.get("logEvents"), list):
        return [_message(each) for each in messages]
    if "digestS3Object" in nested:
        return []
    return next((held for name in _WRAPPERS if isinstance(held := nested.get(name), list)), None)


def _message(log_event: Json) -> Json:
    """The record in an event of CloudWatch; what holds none is said to be none when it is read."""
    text = log_event.get("message") if isinstance(log_event, dict) else None
    return cast("Json", msgspec.json.decode(text)) if isinstance(text, str) and text.startswith("{") else log_event
