"""The shapes of Windows events: the same event from each, and what is none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocsf_schema import problems
from tocsin.model.event import Event, RefusedLine
from tocsin.model.schema import CLASSES
from tocsin.normalize import windows
from windows_events import SHAPES

SYSTEM = {"channel": "Microsoft-Windows-Sysmon/Operational", "provider": "Microsoft-Windows-Sysmon", "id": 1}
AT = "2026-01-02T03:04:05Z"
CHANNEL = {"Channel": "Security"}
FIELDS = {
    "UtcTime": "2026-01-02 03:04:05.600",
    "ProcessId": "4242",
    "Image": "C:\\Windows\\System32\\cmd.exe",
    "CommandLine": "cmd /c whoami",
    "User": "NT AUTHORITY\\SYSTEM",
    "Hashes": "SHA1=AA,IMPHASH=BB",
    "IntegrityLevel": "System",
    "ParentImage": "C:\\Windows\\explorer.exe",
    "ParentProcessId": "4000",
}


def _event(nested: dict[str, Any]) -> Event:
    (event,) = windows.read_events([json.dumps(nested).encode()])
    assert isinstance(event, Event), event
    assert problems(event) == []
    assert event.values.keys() <= CLASSES[event.class_uid].paths
    return event


@pytest.mark.parametrize("shape", list(SHAPES))
def test_every_shape_gives_the_same_attributes(shape: str) -> None:
    """A process launch: who, what, by whom, with which hashes, and when by Sysmon's own clock."""
    values = _event(SHAPES[shape](SYSTEM, FIELDS)).values
    assert values["time"] == 1767323045600
    assert (values["process.file.path"], values["process.name"]) == ("C:\\Windows\\System32\\cmd.exe", "cmd.exe")
    assert (values["process.pid"], values["actor.process.pid"]) == (4242, 4000)
    assert (values["process.user.name"], values["process.user.domain"]) == ("SYSTEM", "NT AUTHORITY")
    assert values["process.integrity_id"] == 5
    assert json.loads(str(values["process.file.hashes"])) == [
        {"algorithm": "SHA-1", "algorithm_id": 2, "value": "AA"},
        {"algorithm": "Imphash", "algorithm_id": 18, "value": "BB"},
    ]
    assert (values["device.hostname"], values["device.os.type_id"]) == ("pc1.corp.example", 100)
    assert (values["metadata.event_code"], values["metadata.log_source"]) == ("1", SYSTEM["channel"])
    original = json.loads(str(values["unmapped.source"]))
    assert original.items() >= FIELDS.items()
    assert (original["EventID"], original["Channel"]) == (1, SYSTEM["channel"])


@pytest.mark.parametrize(
    "nested",
    [
        {"System": {"EventID": {"#text": "1102", "@Qualifiers": "0"}, "TimeCreated": {"@SystemTime": AT}} | CHANNEL},
        {"Event": {"System": {"EventID": 1102, "TimeCreated_attributes": {"SystemTime": AT}} | CHANNEL}},
        {"Id": 1102, "LogName": "Security", "TimeCreated": "/Date(1767323045000)/", "MachineName": "pc1"},
        {"EventID": "1102", "Channel": "Security", "TimeGenerated": "2026-01-02T03:04:05.0000000Z", "Computer": "pc1"},
        {"event_id": 1102, "log_name": "Security", "@timestamp": "2026-01-02T03:04:05.000Z", "event_data": {"a": 1}},
        {"EventID": 1102, "Channel": "Security", "TimeCreated": "1/2/2026 3:04:05 AM"},
    ],
    ids=["xmltodict", "evtx_dump -s", "ConvertTo-Json", "Sentinel", "old winlogbeat", "American"],
)
def test_other_converters_are_understood(nested: dict[str, Any]) -> None:
    """A cleared log, as each of them writes the system's part."""
    event = _event(nested)
    assert (event.class_uid, event.values["time"]) == (1008, 1767323045000)


def test_data_as_xml_is_read() -> None:
    """Sentinel's tables hold EventData as the XML that it was."""
    xml = '<EventData><Data Name="TargetUserName">eve &amp; bob</Data><Data Name="Empty"/></EventData>'
    event = _event({"EventID": 4720, "Channel": "Security", "TimeGenerated": "2026-01-02T03:04:05Z", "EventData": xml})
    assert (event.class_uid, event.values["user.name"]) == (3001, "eve & bob")


def test_unnamed_data_has_both_names() -> None:
    """Classic events have Data without names, which winlogbeat calls param1, param2, ...; rules use either."""
    plain = _event(SHAPES["evtx"]({**SYSTEM, "channel": "Windows PowerShell", "id": 400}, {"Data": ["a", "b"]}))
    beat = _event(SHAPES["winlogbeat"]({**SYSTEM, "channel": "Application", "id": 1}, {"param1": "a", "param2": "b"}))
    for event in (plain, beat):
        original = json.loads(str(event.values["unmapped.source"]))
        assert (original["Data"], original["param2"]) == (["a", "b"], "b")


def test_an_event_without_what_its_class_is_about_is_a_base_event() -> None:
    """A collector that drops fields makes no invalid events, and what is left is kept."""
    event = _event(SHAPES["flat"]({**SYSTEM, "id": 11}, {"Image": "C:\\a.exe", "ProcessId": "7"}))
    assert (event.class_uid, event.values["actor.process.file.path"]) == (0, "C:\\a.exe")


@pytest.mark.parametrize(
    ("nested", "reason"),
    [
        ({"a": 1}, "no event id"),
        ({"Event": {"EventData": {}}}, "no System"),
        ({"EventID": 1}, "the time of the event is missing"),
        ({"EventID": 1, "TimeCreated": "yesterday"}, "is not a time"),
        ({"EventID": 1, "TimeCreated": "13/45/2026 1:00:00 AM"}, "is not a time"),
    ],
)
def test_what_is_no_event_is_named(nested: dict[str, Any], reason: str) -> None:
    """With its line and why."""
    (refused,) = windows.read_events([json.dumps(nested).encode()])
    assert isinstance(refused, RefusedLine)
    assert refused.line == 1
    assert reason in refused.reason


_NAMES = st.sampled_from(["Data", "#text", "@Name", "Name", "Image", "a"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "EventID",
    "Channel",
    "TimeCreated",
    "EventData",
    "UserData",
    "System",
    "Event",
    "winlog",
    "UtcTime",
    "TargetFilename",
    "Hashes",
    "LogonType",
    "IpAddress",
    "Provider",
    "Data",
    "param1",
]


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=8), st.sampled_from([1, 3, 7, 11, 13, 4624, 4698, 7045]))
def test_any_object_is_an_event_or_named(nested: dict[str, Any], number: int) -> None:
    """Values of any kind in any place never crash the reader, and only attributes of the class are filled."""
    channel = "Security" if number > 4000 else "Microsoft-Windows-Sysmon/Operational"
    whole = {"EventID": number, "Channel": channel, "TimeCreated": "2026-01-02T03:04:05Z"}
    for line in (nested, whole | nested, {**nested, **whole}, {"winlog": nested, "@timestamp": "2026-01-02T03:04:05Z"}):
        for item in windows.read_events([msgspec.json.encode(line)]):
            if isinstance(item, Event):
                assert item.values.keys() <= CLASSES[item.class_uid].paths
            else:
                assert item.reason
