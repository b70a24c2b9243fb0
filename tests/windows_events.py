"""Windows events made for rules, in the shapes that collectors write."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import msgspec

from rule_events import Draft, satisfy
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.sigma.logsource import find_mapping
from tocsin.model.condition import And, Condition, Field, Keyword, Match, Not, Or, SameAs
from tocsin.model.event import Event
from tocsin.model.rule import Rule

__all__ = ["REQUIRED", "SHAPES", "fields_for", "flat", "origin_of"]

_SYSMON: Final = "Microsoft-Windows-Sysmon"
_SYSMON_CHANNEL: Final = f"{_SYSMON}/Operational"
_POWERSHELL: Final = "Microsoft-Windows-PowerShell"
# What Sysmon's events of a category always carry, as Microsoft documents them; rules say which values they look for.
_PROCESS: Final = {"Image": "C:\\Tools\\thing.exe", "ProcessId": "4242", "ProcessGuid": "{1}", "User": "CORP\\bob"}
_CREATION: Final = _PROCESS | {
    "CommandLine": "thing.exe -x 1",
    "CurrentDirectory": "C:\\Tools\\",
    "OriginalFileName": "thing.exe",
    "Description": "Thing",
    "Product": "Thing",
    "Company": "Things Ltd",
    "FileVersion": "1.0",
    "Hashes": "SHA256=00",
    "IntegrityLevel": "Medium",
    "LogonId": "0x12345",
    "ParentImage": "C:\\Tools\\parent.exe",
    "ParentProcessId": "4000",
    "ParentCommandLine": "parent.exe run",
    "ParentUser": "CORP\\bob",
}
_TARGET: Final = {
    "SourceImage": "C:\\Tools\\thing.exe",
    "SourceProcessId": "4242",
    "TargetImage": "C:\\Tools\\other.exe",
    "TargetProcessId": "4243",
    "SourceUser": "CORP\\bob",
    "TargetUser": "CORP\\eve",
    "GrantedAccess": "0x1",
    "CallTrace": "C:\\Windows\\SYSTEM32\\ntdll.dll+1",
}
_LIBRARY: Final = _PROCESS | {
    "ImageLoaded": "C:\\Tools\\lib.dll",
    "OriginalFileName": "lib.dll",
    "Description": "Lib",
    "Product": "Lib",
    "Company": "Things Ltd",
    "FileVersion": "1.0",
    "Hashes": "SHA256=00",
    "Signed": "true",
    "Signature": "Things Ltd",
    "SignatureStatus": "Valid",
}
_CONNECTION: Final = _PROCESS | {
    "Protocol": "tcp",
    "Initiated": "true",
    "SourceIp": "10.0.0.9",
    "SourcePort": "50000",
    "DestinationIp": "203.0.113.9",
    "DestinationPort": "4711",
    "DestinationHostname": "host.example",
}
_VALUE: Final = _PROCESS | {"EventType": "SetValue", "TargetObject": "HKLM\\SOFTWARE\\Thing\\Run", "Details": "text"}
# What events of the Security and System logs carry, as far as OCSF demands it of their classes.
REQUIRED: Final = {
    "SubjectUserName": "bob",
    "SubjectDomainName": "CORP",
    "SubjectUserSid": "S-1-5-21-1-2-3-1001",
    "TargetUserName": "eve",
    "TargetDomainName": "CORP",
    "TargetSid": "S-1-5-21-1-2-3-1002",
    "NewProcessName": "C:\\Tools\\thing.exe",
    "NewProcessId": "0x1092",
    "ProcessId": "0x44",
    "ObjectName": "C:\\x\\a.txt",
    "ServiceName": "thing",
    "TaskName": "\\thing",
    "SourceAddress": "10.0.0.9",
    "DestAddress": "203.0.113.9",
    "param1": "thing",
    "ParentProcessId": "4000",
    "Payload": "x",
}
_CATEGORIES: Final[dict[str, tuple[str, str, int, dict[str, str]]]] = {
    "process_creation": (_SYSMON_CHANNEL, _SYSMON, 1, _CREATION),
    "file_change": (_SYSMON_CHANNEL, _SYSMON, 2, _PROCESS | {"TargetFilename": "C:\\x\\a.txt"}),
    "network_connection": (_SYSMON_CHANNEL, _SYSMON, 3, _CONNECTION),
    "sysmon_status": (_SYSMON_CHANNEL, _SYSMON, 16, {}),
    "process_termination": (_SYSMON_CHANNEL, _SYSMON, 5, _PROCESS),
    "driver_load": (_SYSMON_CHANNEL, _SYSMON, 6, _LIBRARY),
    "image_load": (_SYSMON_CHANNEL, _SYSMON, 7, _LIBRARY),
    "create_remote_thread": (_SYSMON_CHANNEL, _SYSMON, 8, _TARGET),
    "raw_access_thread": (_SYSMON_CHANNEL, _SYSMON, 9, _PROCESS | {"Device": "\\Device\\HarddiskVolume2"}),
    "process_access": (_SYSMON_CHANNEL, _SYSMON, 10, _TARGET),
    "file_event": (_SYSMON_CHANNEL, _SYSMON, 11, _PROCESS | {"TargetFilename": "C:\\x\\a.txt"}),
    "registry_add": (_SYSMON_CHANNEL, _SYSMON, 12, _VALUE | {"EventType": "CreateKey"}),
    "registry_delete": (_SYSMON_CHANNEL, _SYSMON, 12, _VALUE | {"EventType": "DeleteValue"}),
    "registry_set": (_SYSMON_CHANNEL, _SYSMON, 13, _VALUE),
    "registry_event": (_SYSMON_CHANNEL, _SYSMON, 13, _VALUE),
    "create_stream_hash": (_SYSMON_CHANNEL, _SYSMON, 15, _PROCESS | {"TargetFilename": "C:\\x\\a:b", "Hash": "MD5=0"}),
    "pipe_created": (_SYSMON_CHANNEL, _SYSMON, 17, _PROCESS | {"PipeName": "\\pipe"}),
    "wmi_event": (_SYSMON_CHANNEL, _SYSMON, 20, {"Operation": "Created"}),
    "dns_query": (_SYSMON_CHANNEL, _SYSMON, 22, _PROCESS | {"QueryName": "host.example", "QueryStatus": "0"}),
    "file_delete": (_SYSMON_CHANNEL, _SYSMON, 23, _PROCESS | {"TargetFilename": "C:\\x\\a.txt"}),
    "process_tampering": (_SYSMON_CHANNEL, _SYSMON, 25, _PROCESS | {"Type": "Image is replaced"}),
    "file_executable_detected": (_SYSMON_CHANNEL, _SYSMON, 29, _PROCESS | {"TargetFilename": "C:\\x\\a.exe"}),
    "sysmon_error": (_SYSMON_CHANNEL, _SYSMON, 255, {}),
    "ps_module": (f"{_POWERSHELL}/Operational", _POWERSHELL, 4103, {"Payload": "CommandInvocation(x)"}),
    "ps_script": (f"{_POWERSHELL}/Operational", _POWERSHELL, 4104, {"ScriptBlockText": "Get-Item"}),
    "ps_classic_start": ("Windows PowerShell", "PowerShell", 400, {}),
    "ps_classic_provider_start": ("Windows PowerShell", "PowerShell", 600, {}),
}


def origin_of(rule: Rule) -> tuple[str, str, int, dict[str, str]] | None:
    """Channel, provider, event id and usual fields of the rule's events; None if no Windows log has such events."""
    if rule.logsource.category:
        return _CATEGORIES.get(rule.logsource.category)
    channels = find_mapping(rule.logsource).where.get("metadata.log_source")
    return (str(channels[0]), "", 1, {}) if channels else None


def fields_for(raw: Rule, usual: dict[str, str], attempts: int = 60) -> dict[str, Any] | None:
    """Fields of an event that the rule finds in its own terms; None if chance gives none.

    `raw` is the rule compiled so that every field is one of the original.
    """
    chance = random.Random(raw.id)  # noqa: S311 - reproducible events, no secrets
    for attempt in range(attempts):
        draft = Draft()
        satisfy(flat(raw.condition), chance.randrange, draft)
        # Rules that exclude what is usual may want fewer fields.
        kept = {key: text for key, text in usual.items() if attempt % 3 < 2 or chance.random() < 0.5}
        fields: dict[str, Any] = {**kept, **draft.attributes}
        if "message" in fields:
            fields["Message"] = fields.pop("message")
        if holds(raw.condition, Event(0, {"time": 1, "unmapped.source": msgspec.json.encode(fields).decode()})):
            return fields
    return None


def flat(condition: Condition) -> Condition:
    """The condition with its fields as attributes, so that several terms on one field are joined."""
    match condition:
        case And(parts):
            return And(tuple(map(flat, parts)))
        case Or(parts):
            return Or(tuple(map(flat, parts)))
        case Not(part):
            return Not(flat(part))
        case Match(field, SameAs(other, relation, cased)):
            return Match(Field(field.path), SameAs(Field(other.path), relation, cased))
        case Match(field, test):
            return Match(Field(field.path), test)
        case Keyword():
            return condition
        case _:
            raise AssertionError(condition)


_TIME: Final = "2026-01-02T03:04:05.678901Z"
System = dict[str, Any]


def _xml(system: System, fields: dict[str, Any]) -> dict[str, Any]:
    """As evtx_dump and its like write the event's XML."""
    data = {key: value for key, value in fields.items() if key != "Message"}
    written = {
        "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
        "System": {
            "Provider": {"#attributes": {"Name": system["provider"]}},
            "EventID": system["id"],
            "Level": 4,
            "TimeCreated": {"#attributes": {"SystemTime": _TIME}},
            "EventRecordID": 77,
            "Execution": {"#attributes": {"ProcessID": 2000, "ThreadID": 1}},
            "Channel": system["channel"],
            "Computer": "pc1.corp.example",
            "Security": {"#attributes": {"UserID": "S-1-5-18"}},
        },
        "EventData": data,
    }
    rendered = {"RenderingInfo": {"Message": fields["Message"]}} if "Message" in fields else {}
    return {"Event": {**written, **rendered}}


def _winlogbeat(system: System, fields: dict[str, Any]) -> dict[str, Any]:
    data = {key: value for key, value in fields.items() if key != "Message"}
    return {
        "@timestamp": _TIME,
        "event": {"code": str(system["id"]), "kind": "event", "provider": system["provider"]},
        "host": {"name": "pc1.corp.example"},
        "log": {"level": "information"},
        "message": fields.get("Message", "Something happened:\nDetails"),
        "winlog": {
            "channel": system["channel"],
            "computer_name": "pc1.corp.example",
            "event_data": data,
            "event_id": system["id"],
            "process": {"pid": 2000, "thread": {"id": 1}},
            "provider_name": system["provider"],
            "record_id": 77,
            "user": {"identifier": "S-1-5-18"},
        },
    }


def _flat_shape(system: System, fields: dict[str, Any]) -> dict[str, Any]:
    """As NXLog and OTRF's datasets write it."""
    head = {
        "EventTime": _TIME,
        "Hostname": "pc1.corp.example",
        "EventID": system["id"],
        "SourceName": system["provider"],
        "Channel": system["channel"],
        "RecordNumber": 77,
        "ProcessID": "2000",
        "UserID": "S-1-5-18",
        "Severity": "INFO",
    }
    return {**head, **fields}


def _named_elements(system: System, fields: dict[str, Any]) -> dict[str, Any]:
    """As xmltodict writes the event's XML, with EventData as named elements."""
    whole = _xml(system, fields)
    elements = [{"@Name": key, "#text": value} for key, value in whole["Event"]["EventData"].items()]
    return {"Event": {**whole["Event"], "EventData": {"Data": elements}}}


SHAPES: Final[dict[str, Callable[[System, dict[str, Any]], dict[str, Any]]]] = {
    "evtx": _xml,
    "winlogbeat": _winlogbeat,
    "flat": _flat_shape,
    "elements": _named_elements,
}
