"""Sources whose events are JSON: CloudTrail, Kubernetes audit, OCSF itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocsf_schema import problems
from tocsin.model.event import Event, RefusedLine, nest
from tocsin.normalize import cloudtrail, kubernetes, ocsf

POD_EXEC = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "auditID": "0d9c8a3e-1f0c-4d43-9f5e-6f3b5d6a7b8c",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/shop/pods/web-0/exec?command=sh",
    "verb": "create",
    "user": {"username": "jane", "uid": "u-1", "groups": ["system:authenticated"]},
    "sourceIPs": ["10.0.0.7"],
    "userAgent": "kubectl/v1.31",
    "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-0", "subresource": "exec"},
    "responseStatus": {"code": 101},
    "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z",
}
# What must be filled from each source, besides being valid OCSF: an event that hides everything in `unmapped` fails.
FILLED = {
    "cloudtrail": {
        "time",
        "activity_id",
        "status_id",
        "api.operation",
        "api.service.name",
        "cloud.provider",
        "cloud.region",
        "actor.user.name",
        "unmapped.source",
    },
    "k8s-audit": {
        "time",
        "activity_id",
        "status_id",
        "api.operation",
        "api.service.name",
        "actor.user.name",
        "src_endpoint.ip",
        "http_request.user_agent",
        "unmapped.source",
    },
}


def stratus_records(public_data: Path) -> list[bytes]:
    lines = (public_data / "cloudtrail/stratus/detonations.jsonl").read_text().splitlines()
    return [json.dumps(record).encode() for line in lines for record in json.loads(line)["events"]]


@pytest.mark.data
def test_every_cloudtrail_record_is_valid_and_filled(public_data: Path) -> None:
    """CloudTrail of real detonations: each record is a valid API activity with its attributes in their places."""
    records = stratus_records(public_data)
    events = list(cloudtrail.read_events(records))
    assert len(events) == len(records) > 200
    for event in events:
        assert isinstance(event, Event)
        assert FILLED["cloudtrail"] <= event.values.keys()
        assert problems(event) == []


@pytest.mark.data
def test_a_file_of_records_gives_each_of_them(public_data: Path) -> None:
    """A log file as S3 holds it, {"Records": [...]}, gives as many events as it has records."""
    records = [json.loads(record) for record in stratus_records(public_data)]
    events = list(cloudtrail.read_events([json.dumps({"Records": records}).encode()]))
    assert len(events) == len(records)


@pytest.mark.data
def test_records_that_a_collector_has_reshaped_are_read(public_data: Path) -> None:
    """CloudTrail that went through Logstash, which names the time differently, is read whole."""
    (recorded,) = (public_data / "cloudtrail/otrf/collection").glob("*.json")
    events = list(cloudtrail.read_events(recorded.read_bytes().splitlines()))
    assert len(events) == 103
    for event in events:
        assert isinstance(event, Event)
        assert problems(event) == []


def lookup_events(records: list[dict[str, object]]) -> dict[str, object]:
    """As `aws cloudtrail lookup-events` prints them."""
    names = [{"EventName": record["eventName"], "CloudTrailEvent": json.dumps(record)} for record in records]
    return {"Events": names, "NextToken": "x"}


@pytest.mark.data
@pytest.mark.parametrize(
    "wrap",
    [lambda records: {"Records": records}, list, lambda records: {"events": records}, lookup_events],
    ids=["log file", "array", "events", "lookup-events"],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_every_usual_wrapper_gives_the_same_events(
    public_data: Path, wrap: Callable[[list[dict[str, object]]], object], indent: int | None
) -> None:
    """However records are wrapped, on one line or pretty-printed over many, each is read."""
    lines = stratus_records(public_data)
    wrapped = json.dumps(wrap([json.loads(line) for line in lines]), indent=indent).encode()
    assert list(cloudtrail.read_events(wrapped.splitlines())) == list(cloudtrail.read_events(lines))


@pytest.mark.data
def test_wrappers_as_they_were_recorded_are_read(public_data: Path) -> None:
    """One file of many {"events": [...]} lines gives every event."""
    recorded = (public_data / "cloudtrail/stratus/detonations.jsonl").read_bytes().splitlines()
    assert len(list(cloudtrail.read_events(recorded))) == len(stratus_records(public_data))


def test_one_bad_record_does_not_hide_the_others() -> None:
    """A wrapper with a bad record gives the good ones, before and behind it."""
    good = {"eventName": "GetUser", "eventTime": "2026-01-02T03:04:05Z"}
    wrapped = json.dumps({"Records": [good, {"eventName": "X"}, 7, good]}, indent=1).encode()
    kinds = [type(item) for item in cloudtrail.read_events(wrapped.splitlines())]
    assert kinds == [Event, RefusedLine, RefusedLine, Event]
    (refused,) = cloudtrail.read_events([b'{"CloudTrailEvent": "{not json"}'])
    assert isinstance(refused, RefusedLine)


def test_a_broken_first_line_costs_only_itself() -> None:
    """Lines are read alone where they are no JSON value together."""
    first, second = ocsf.read_events([b'{"class_uid": 1007', b'{"class_uid": 1007, "time": 1}'])
    assert isinstance(first, RefusedLine)
    assert isinstance(second, Event)


def test_a_pretty_printed_event_list_is_read() -> None:
    """What kubectl prints over many lines is an EventList too."""
    listed = json.dumps({"kind": "EventList", "items": [POD_EXEC, POD_EXEC]}, indent=2).encode()
    assert len([item for item in kubernetes.read_events(listed.splitlines()) if isinstance(item, Event)]) == 2


def test_a_kubernetes_audit_event_is_valid_and_filled() -> None:
    """An exec into a pod is a valid API activity, and its original is kept whole."""
    (event,) = kubernetes.read_events([json.dumps({"kind": "EventList", "items": [POD_EXEC]}).encode()])
    assert isinstance(event, Event)
    assert FILLED["k8s-audit"] <= event.values.keys()
    assert problems(event) == []
    unmapped = nest(event)["unmapped"]
    assert isinstance(unmapped, dict)
    assert unmapped["source"] == POD_EXEC
    assert event.values["time"] == 1767323045678


def test_what_we_export_can_be_read_back() -> None:
    """Our own nested form, sent to the line inlet, gives the same event."""
    (event,) = kubernetes.read_events([json.dumps(POD_EXEC).encode()])
    assert isinstance(event, Event)
    (back,) = ocsf.read_events([json.dumps(nest(event)).encode()])
    assert isinstance(back, Event)
    assert {p: v for p, v in back.values.items() if p != "unmapped.source"} == {
        p: v for p, v in event.values.items() if p != "unmapped.source"
    }
    assert json.loads(str(back.values["unmapped.source"])) == POD_EXEC


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_lines_are_refused_by_number(lines: list[bytes]) -> None:
    """No line crashes a reader; each that is not an event comes back with its number and a reason."""
    for read in (cloudtrail.read_events, kubernetes.read_events, ocsf.read_events):
        refused = list(read([b"{}", *lines]))
        assert all(isinstance(item, RefusedLine) and item.reason for item in refused)
        assert isinstance(refused[0], RefusedLine)
        assert refused[0].line == 1
