"""The shapes in which collectors write Windows events, brought to one: what the system says, and the event's data.

Known are the event's own XML as converters turn it into JSON ({"Event": {"System": ..., "EventData": ...}}),
winlogbeat's (ECS and before), and flat objects as NXLog, OTRF's datasets, Microsoft's tables and PowerShell's
ConvertTo-Json write them.
"""

from __future__ import annotations

import html
import re
from typing import Final

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Json
from tocsin.normalize.lines import Object, pick

__all__ = ["Entry", "read_entry"]

_CHANNELS: Final = {
    "Microsoft-Windows-Sysmon": "Microsoft-Windows-Sysmon/Operational",
    "Microsoft-Windows-Security-Auditing": "Security",
    "Microsoft-Windows-PowerShell": "Microsoft-Windows-PowerShell/Operational",
    "Service Control Manager": "System",
    "PowerShell": "Windows PowerShell",
}
# What flat shapes call the system's part of an event; the first that is there is taken, and none stays in the data.
_FLAT: Final = {
    "id": ("EventID", "EventId", "event_id", "EventCode", "Id"),
    "channel": ("Channel", "channel", "LogName", "log_name"),
    "provider": ("Provider_Name", "ProviderName", "SourceName", "source_name", "EventSourceName", "Provider"),
    "computer": ("Computer", "ComputerName", "computer_name", "Hostname", "MachineName", "host"),
    "created": (
        "TimeCreated",
        "SystemTime",
        "EventTime",
        "@timestamp",
        "TimeGenerated",
        "timestamp",
        "EventReceivedTime",
    ),
    "record": ("EventRecordID", "RecordNumber", "RecordId", "record_number"),
    "level": ("Level", "LevelDisplayName", "Severity", "level"),
    "user": ("UserID", "UserId", "Sid"),
    "pid": ("ExecutionProcessID", "ProcessID"),
}
# Names that fields of the data have too.
_KEPT: Final = frozenset({"Level", "SourceName", "UserID", "UserId", "Sid", "ProcessID"})
_HEADER: Final = frozenset(name for names in _FLAT.values() for name in names) - _KEPT
_DATA_ELEMENT: Final = re.compile(r"<Data(?: Name=[\"']([^\"']*)[\"'])?\s*(?:/>|>(.*?)</Data>)", re.DOTALL)


class Entry(msgspec.Struct, gc=False):
    """One event: what the system says of it, and its data by field."""

    id: str
    channel: str
    provider: str
    computer: str
    created: Json
    record: str
    level: str
    user: str
    pid: str
    data: Object


def read_entry(nested: Object) -> Entry:
    """The event that an object of any known shape holds.

    Raises:
        InvalidEvent: there is no event id in it.
    """
    event = nested.get("Event")
    if isinstance(event, dict):
        return _from_xml(event)
    if isinstance(nested.get("System"), dict):
        return _from_xml(nested)
    if isinstance(nested.get("winlog"), dict):
        return _from_winlogbeat(nested)
    return _from_flat(nested)


def _entry(system: Object, data: Object) -> Entry:
    if not system.get("id"):
        raise InvalidEvent("there is no event id: this is no event of a Windows log")
    texts = {key: _text(system.get(key)) for key in _FLAT if key != "created"}
    channel = texts["channel"] or _CHANNELS.get(texts["provider"], "")
    return Entry(created=system.get("created"), data=_completed(data), **{**texts, "channel": channel})


def _text(value: Json) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _completed(data: Object) -> Object:
    """The data under both names that unnamed fields go by: Data, and param1, param2, ..."""
    if isinstance(unnamed := data.get("Data"), list):
        return {f"param{at}": value for at, value in enumerate(unnamed, 1)} | data
    if "param1" in data and "Data" not in data:
        return {**data, "Data": [value for key, value in data.items() if key.startswith("param")]}
    return data


def _from_xml(event: Object) -> Entry:
    system = event.get("System")
    if not isinstance(system, dict):
        raise InvalidEvent("there is no System in the event: this is no event of a Windows log")
    part = {
        "id": _content(system.get("EventID")),
        "channel": _content(system.get("Channel")),
        "provider": _attribute(system, "Provider", "Name"),
        "computer": _content(system.get("Computer")),
        "created": _attribute(system, "TimeCreated", "SystemTime"),
        "record": _content(system.get("EventRecordID")),
        "level": _content(system.get("Level")),
        "user": _attribute(system, "Security", "UserID"),
        "pid": _attribute(system, "Execution", "ProcessID"),
    }
    data = _event_data(event.get("EventData")) | _user_data(event.get("UserData"))
    rendering = event.get("RenderingInfo")
    message = rendering.get("Message") if isinstance(rendering, dict) else event.get("Message")
    return _entry(part, data if message is None else {**data, "Message": message})


def _content(element: Json) -> Json:
    """The text of an element, which is an object where the element has attributes."""
    return element.get("#text", element.get("Value")) if isinstance(element, dict) else element


def _attribute(system: Object, element: str, name: str) -> Json:
    """An attribute of an element, as the various converters from XML name it."""
    found = system.get(element)
    if not isinstance(found, dict):
        beside = system.get(f"{element}_attributes")
        return beside.get(name) if isinstance(beside, dict) else found
    attributes = found.get("#attributes")
    inner = attributes if isinstance(attributes, dict) else found
    return next((inner[key] for key in (name, f"@{name}", f"_{name}") if key in inner), None)


def _event_data(data: Json) -> Object:
    """The fields of EventData: by name, as a list of named elements, as XML, or unnamed."""
    if isinstance(data, str):
        return _from_elements(
            [{"Name": name, "#text": html.unescape(text)} for name, text in _DATA_ELEMENT.findall(data)]
        )
    if not isinstance(data, dict):
        return _from_elements(data) if isinstance(data, list) else {}
    fields = {key: value for key, value in data.items() if not key.startswith(("#", "@", "xmlns"))}
    elements = fields.get("Data")
    if isinstance(elements, dict):
        elements = [elements] if _name(elements) else elements.get("#text")
    if isinstance(elements, list):
        del fields["Data"]
        return {key: _content(value) for key, value in fields.items()} | _from_elements(elements)
    return fields


def _from_elements(elements: list[Json]) -> Object:
    named = {name: _content(each) for each in elements if isinstance(each, dict) and (name := _name(each))}
    unnamed = [_content(each) for each in elements if not (isinstance(each, dict) and _name(each))]
    return {**named, "Data": unnamed} if unnamed else {**named}


def _name(element: Object) -> str:
    return _text(_attribute({"Data": element}, "Data", "Name"))


def _user_data(data: Json) -> Object:
    """The fields of UserData, which lie in an element of the provider's own."""
    if not isinstance(data, dict):
        return {}
    fields: Object = {}
    for key, value in data.items():
        if isinstance(value, dict) and "#text" not in value:
            fields |= _user_data(value)
        elif not key.startswith(("#", "@", "xmlns")):
            fields[key] = _content(value)
    return fields


def _from_winlogbeat(nested: Object) -> Entry:
    log = nested["winlog"]
    part = {
        "id": pick(log, "event_id") or pick(nested, "event.code"),
        "channel": pick(log, "channel"),
        "provider": pick(log, "provider_name") or pick(nested, "event.provider"),
        "computer": pick(log, "computer_name") or pick(nested, "host.name"),
        "created": nested.get("@timestamp"),
        "record": pick(log, "record_id"),
        "level": pick(nested, "log.level"),
        "user": pick(log, "user.identifier"),
        "pid": pick(log, "process.pid"),
    }
    data = _event_data(pick(log, "event_data")) | _user_data(pick(log, "user_data"))
    message = nested.get("message")
    return _entry(part, {**data, "Message": message} if message else data)


def _from_flat(nested: Object) -> Entry:
    part: Object = {key: _first(nested, names) for key, names in _FLAT.items()}
    if isinstance(provider := part["provider"], dict):
        part["provider"] = provider.get("Name") or provider.get("name")
    data = {key: value for key, value in nested.items() if key not in _HEADER}
    for key in ("EventData", "event_data", "UserData", "user_data"):
        if key in data:
            inner = data.pop(key)
            data |= _event_data(inner) if key.lower().startswith("e") else _user_data(inner)
    return _entry(part, data)


def _first(nested: Object, names: tuple[str, ...]) -> Json:
    return next((nested[name] for name in names if nested.get(name) not in (None, "")), None)
