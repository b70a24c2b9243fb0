"""From an event of a Windows log to ours."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Final

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, Json, Value
from tocsin.model.schema import CLASSES
from tocsin.normalize.lines import epoch_ms
from tocsin.normalize.windows.meaning import meaning_of
from tocsin.normalize.windows.shape import Entry

__all__ = ["event_of"]

_encode: Final = msgspec.json.Encoder().encode
_MICROSOFT: Final = re.compile(r"/Date\((-?\d{1,15})[^)]*\)/")
_AMERICAN: Final = "%m/%d/%Y %I:%M:%S %p"
_SUCCESS, _FAILURE = 1, 2
_BASE_EVENT, _OTHER = 0, 99
# What an event must name to be of its class; one that a collector has stripped of it is a Base Event.
_NEEDED: Final = {
    1001: ("file.path",),
    1002: ("driver.file.path",),
    1005: ("module.file.path",),
    1006: ("job.name",),
    1009: ("script.script_content.value",),
    3001: ("user.name", "user.uid"),
    3002: ("user.name", "user.uid"),
    3006: ("group.name",),
    4001: ("src_endpoint.ip", "dst_endpoint.ip", "dst_endpoint.hostname"),
    201001: ("reg_key.path",),
    201002: ("reg_value.path",),
    201004: ("win_service.name",),
}
_ZERO: Final = frozenset({"0x0", "0", "0x00000000"})


def event_of(entry: Entry) -> Event:
    """The event, in the class that its channel and id mean.

    Raises:
        InvalidEvent: it has no time.
    """
    meaning = meaning_of(entry)
    common = _common(entry.computer, entry.channel, entry.provider, entry.id, entry.level)
    values: dict[str, Value] = {"time": _time(entry), **common, **meaning.constants}
    for filling in meaning.fillings:
        value = filling.value(entry)
        if value is None:
            continue
        values[filling.path] = value
        for path, derive in filling.derived:
            if path not in values and (follows := derive(str(value))) is not None:
                values[path] = follows
    if meaning.status_from:
        code = entry.data.get(meaning.status_from)
        values["status_id"] = _SUCCESS if code is None or str(code) in _ZERO else _FAILURE
    _name_users(values)
    message = entry.data.get("Message")
    if isinstance(message, str) and message:
        values["message"] = message.partition("\n")[0].rstrip()
    if entry.record:
        values["metadata.original_event_uid"] = entry.record
    values["unmapped.source"] = _encode(_original(entry)).decode()
    return Event(meaning.class_uid, values) if _is_whole(meaning.class_uid, values) else _base_event(values)


def _is_whole(class_uid: int, values: dict[str, Value]) -> bool:
    """Does the event say what its class is about?"""
    needed = _NEEDED.get(class_uid)
    return needed is None or not values.keys().isdisjoint(needed)


def _base_event(values: dict[str, Value]) -> Event:
    allowed = CLASSES[_BASE_EVENT].paths
    kept = {path: value for path, value in values.items() if path in allowed}
    return Event(_BASE_EVENT, {**kept, "activity_id": _OTHER})


def _original(entry: Entry) -> dict[str, Json]:
    system: dict[str, Json] = {
        "EventID": int(entry.id) if entry.id.isdecimal() else entry.id,
        "Channel": entry.channel,
        "Provider_Name": entry.provider,
        "Computer": entry.computer,
        "Level": int(entry.level) if entry.level.isdecimal() else entry.level,
    }
    return {key: value for key, value in system.items() if value not in ("", None)} | entry.data


@lru_cache(maxsize=4096)
def _common(computer: str, channel: str, provider: str, number: str, level: str) -> dict[str, Value]:
    """What all events of one kind and machine have in common."""
    named = {
        "metadata.log_name": "windows",
        "metadata.log_source": channel,
        "metadata.log_provider": provider,
        "metadata.event_code": number,
        "metadata.log_level": level,
        "device.hostname": computer or "unknown",
        "device.os.name": "Windows",
    }
    texts: dict[str, Value] = {path: text for path, text in named.items() if text}
    return texts | {"device.type_id": 0, "device.os.type_id": 100}


def _name_users(values: dict[str, Value]) -> None:
    r"""Write DOMAIN\name where the source has only the parts of it."""
    for user in ("process.user", "actor.user", "user"):
        name, domain = values.get(f"{user}.name"), values.get(f"{user}.domain")
        if name and domain and f"{user}.display_name" not in values:
            values[f"{user}.display_name"] = f"{domain}\\{name}"


def _time(entry: Entry) -> int:
    """When it happened: by the event's own data where it says so, else when it was logged."""
    happened = entry.data.get("UtcTime")
    if isinstance(happened, str) and happened:
        try:
            return epoch_ms(happened, "UtcTime")
        except InvalidEvent:
            pass
    return _logged(entry.created)


def _logged(created: Json) -> int:
    if isinstance(created, str):
        if found := _MICROSOFT.match(created):
            return int(found[1])
        if created[2:3] == "/" or created[1:2] == "/":
            return _american(created)
    return epoch_ms(created, "the time of the event")


def _american(created: str) -> int:
    try:
        return int(dt.datetime.strptime(created, _AMERICAN).replace(tzinfo=dt.UTC).timestamp() * 1000)
    except ValueError as error:
        raise InvalidEvent(f"the time of the event is not a time: {created!r}") from error
