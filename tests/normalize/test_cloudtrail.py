"""CloudTrail: every record that AWS writes becomes a valid event of the class that it is about."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from event_frames import frames_of
from ocsf_schema import problems
from rule_events import Draft, satisfy
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.event import Event, RefusedLine
from tocsin.normalize import cloudtrail, objects
from windows_events import flat

_EVERY = {
    "time",
    "activity_id",
    "status_id",
    "api.operation",
    "api.service.name",
    "cloud.provider",
    "cloud.region",
    "actor.user.name",
    "unmapped.source",
}
# What must be filled in each class, besides being valid: an event that hides everything in `unmapped` fails.
FILLED = {
    6003: _EVERY,
    3001: _EVERY | {"user.name"},
    3002: _EVERY | {"user.name", "service.name", "is_remote"},
    3006: _EVERY | {"group.name"},
}
RECORD = {
    "eventTime": "2026-01-02T03:04:05Z",
    "eventSource": "iam.amazonaws.com",
    "eventName": "CreateUser",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "aws-cli/2",
    "eventID": "e-1",
    "recipientAccountId": "123456789012",
    "userIdentity": {"type": "IAMUser", "userName": "bob", "principalId": "AIDA1", "accountId": "123456789012"},
    "requestParameters": {"userName": "eve"},
}


def _event(**changes: object) -> Event:
    (event,) = cloudtrail.read_events([json.dumps(RECORD | changes).encode()])
    assert isinstance(event, Event)
    return event


def _recorded(public_data: Path) -> Iterator[tuple[str, Any]]:
    """What lies in the public data, one value each, and what StreamAlert calls it."""
    folder = public_data / "cloudtrail"
    for line in (folder / "stratus/detonations.jsonl").read_text().splitlines():
        yield "cloudtrail:events", json.loads(line)
    for path in (folder / "otrf/collection").glob("*.json"):
        yield from (("cloudtrail:events", json.loads(line)) for line in path.read_text().splitlines())
    for path in (folder / "streamalert").rglob("*.json"):
        for case in json.loads(path.read_text()):
            value = case.get("data", case.get("override_record"))
            if isinstance(value, dict):
                yield str(case.get("log")), _with_times(value)


def _with_times(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """StreamAlert's cases have placeholders such as "..." for the time."""
    if isinstance(value, list):
        return [_with_times(each) for each in value]
    if not isinstance(value, dict):
        return value
    filled = {key: _with_times(each) for key, each in value.items()}
    return filled | {"eventTime": RECORD["eventTime"]} if filled.get("eventTime") in {"...", "eventTime"} else filled


@pytest.mark.data
def test_every_recorded_event_is_valid_and_filled(public_data: Path) -> None:
    """Everything in the public CloudTrail data: CloudTrail in its class, what is of others as an object."""
    classes: Counter[int] = Counter()
    for log, value in _recorded(public_data):
        line = json.dumps(value).encode()
        items = list(cloudtrail.read_events([line]))
        if log.startswith("cloudtrail:"):
            assert all(isinstance(item, Event) for item in items), (log, items)
        for event in [item for item in items if isinstance(item, Event)]:
            classes[event.class_uid] += 1
            assert problems(event) == [], event
            absent = FILLED[event.class_uid] - event.values.keys()
            assert absent <= ({"cloud.region"} if "awsRegion" not in str(event.values["unmapped.source"]) else set())
        for other in objects.read_events([line], now_ms=0):
            assert isinstance(other, Event)
            assert problems(other) == []
    assert classes.total() >= 373
    assert set(classes) == {6003, 3001, 3002}


@pytest.mark.parametrize(
    ("source", "name", "class_uid", "activity"),
    [
        ("iam", "CreateUser", 3001, 1),
        ("iam", "DeleteUser", 3001, 6),
        ("iam", "CreateAccessKey", 3001, 99),
        ("iam", "AttachUserPolicy", 3001, 7),
        ("iam", "DeactivateMFADevice", 3001, 11),
        ("iam", "CreateLoginProfile", 3001, 2),
        ("iam", "AddUserToGroup", 3006, 3),
        ("iam", "CreateRole", 6003, 1),
        ("signin", "ConsoleLogin", 3002, 1),
        ("signin", "SwitchRole", 3002, 7),
        ("sts", "AssumeRole", 3002, 7),
        ("sts", "GetSessionToken", 3002, 1),
        ("sts", "GetCallerIdentity", 6003, 2),
        ("ec2", "CreateUser", 6003, 1),
        ("s3", "DeleteBucket", 6003, 4),
    ],
)
def test_a_call_is_of_the_class_that_it_is_about(source: str, name: str, class_uid: int, activity: int) -> None:
    """By service and name; valid, with what the class must have."""
    event = _event(
        eventSource=f"{source}.amazonaws.com", eventName=name, requestParameters={"userName": "eve", "groupName": "g"}
    )
    assert (event.class_uid, event.values["activity_id"]) == (class_uid, activity)
    assert problems(event) == []
    assert FILLED[class_uid] <= event.values.keys()


def test_whom_a_call_is_about() -> None:
    """The account that it names, the role that it takes, else the caller himself."""
    assert _event().values["user.name"] == "eve"
    role = _event(
        eventSource="sts.amazonaws.com",
        eventName="AssumeRole",
        requestParameters={"roleArn": "arn:aws:iam::123456789012:role/deploy"},
    )
    assert (role.values["user.name"], role.values["actor.user.name"]) == ("deploy", "bob")
    own = _event(eventName="CreateAccessKey", requestParameters=None)
    assert (own.values["user.name"], own.values["user.uid"]) == ("bob", "AIDA1")


def test_a_failed_login_is_a_failure_without_a_second_factor() -> None:
    """The answer of a login says how it went, not an error code."""
    event = _event(
        eventSource="signin.amazonaws.com",
        eventName="ConsoleLogin",
        requestParameters=None,
        responseElements={"ConsoleLogin": "Failure"},
        additionalEventData={"MFAUsed": "No"},
    )
    assert (event.values["status_id"], event.values["is_mfa"]) == (2, False)


def test_a_group_call_without_a_group_is_api_activity() -> None:
    """An event never lacks what its class is about."""
    event = _event(eventName="CreateGroup", requestParameters=None)
    assert (event.class_uid, event.values["activity_id"]) == (6003, 1)
    assert problems(event) == []


@pytest.mark.parametrize(
    "wrapped",
    [
        {"Records": [RECORD]},
        {"detail-type": "AWS API Call via CloudTrail", "source": "aws.iam", "detail": RECORD},
        {"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": json.dumps(RECORD)}]},
        {"Events": [{"EventName": "CreateUser", "CloudTrailEvent": json.dumps(RECORD)}]},
        {"specversion": "1.0", "type": "com.amazonaws.trail", "data": RECORD},
        [{"data": {"Records": [RECORD]}, "log": "cloudtrail:events", "trigger_rules": ["a_rule"]}],
    ],
    ids=["log file", "EventBridge", "CloudWatch", "lookup-events", "CloudEvents", "StreamAlert"],
)
def test_records_are_found_however_aws_passes_them_on(wrapped: object) -> None:
    """The same event each time."""
    assert list(cloudtrail.read_events([json.dumps(wrapped).encode()])) == [_event()]


def test_digests_hold_no_records_and_what_is_no_record_is_named() -> None:
    """A digest gives nothing; a message that is no record is refused with its line."""
    digest = {"awsAccountId": "1", "digestS3Object": "x", "logFiles": []}
    control = {"logEvents": [{"message": "CWL CONTROL MESSAGE: checking health"}]}
    items = list(cloudtrail.read_events([json.dumps(digest).encode(), json.dumps(control).encode()]))
    (refused,) = items
    assert isinstance(refused, RefusedLine)
    assert (refused.line, "eventName is missing" in refused.reason) == (2, True)


def _nested(fields: dict[str, str]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, text in fields.items():
        *folders, leaf = path.split(".")
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = text
    return nested


@pytest.mark.data
def test_every_public_rule_fires_on_a_record_made_for_it(public_data: Path) -> None:
    """Whatever class the record becomes: of 57 rules all find theirs among twenty."""
    folder = [public_data / "sigma/rules/cloud/aws", public_data / "sigma/rules-threat-hunting"]
    rules = [rule for rule in load(folder).rules if rule.logsource.product == "aws"]
    raws = {rule.path: rule for rule in load([Path(rule.path) for rule in rules], RAW).rules}
    chance = random.Random(3)  # noqa: S311 - reproducible records, no secrets
    found: set[str] = set()
    for rule in rules:
        records = []
        for _ in range(20):
            draft = Draft()
            satisfy(flat(raws[rule.path].condition), chance.randrange, draft)
            records.append(json.dumps(_merged(RECORD, _nested(draft.attributes))).encode())
        events = [item for item in cloudtrail.read_events(records) if isinstance(item, Event)]
        if any(True for frame in frames_of(events).values() for _ in Engine([rule]).matches(frame)):
            found.add(rule.path)
    assert len(rules) > 50
    assert {rule.path for rule in rules} == found


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: (base[key], over[key]) for key in base.keys() & over.keys()}
    inner = {key: _merged(*pair) for key, pair in both.items() if all(isinstance(each, dict) for each in pair)}
    return base | over | inner
