"""AWS CloudTrail: every record is API activity (6003); console logins are authentication (3002) besides.

The whole original stays under `unmapped.source`, so that every JSON path of it can be used in rules and search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, Json, RefusedLine, Value
from tocsin.normalize.lines import Object, address, epoch_ms, pick, read_json_lines, text

__all__ = ["normalize", "read_events"]

_API_ACTIVITY = 6003
_SUCCESS, _FAILURE = 1, 2
_VERBS = (
    (1, ("Create", "Run", "Put", "Add", "Attach", "Allocate", "Register", "Import", "Issue", "Authorize")),
    (2, ("Get", "List", "Describe", "Lookup", "Head", "Search", "Batch", "Query", "Scan", "Assume")),
    (3, ("Update", "Modify", "Set", "Enable", "Change", "Replace", "Start", "Stop", "Reboot", "Associate", "Tag")),
    (4, ("Delete", "Remove", "Detach", "Terminate", "Disable", "Deregister", "Revoke", "Release", "Untag")),
)
_OTHER = 99
_WRAPPERS = ("Records", "Events", "events")
_PATHS = {
    "metadata.original_event_uid": "eventID",
    "metadata.event_code": "eventName",
    "api.operation": "eventName",
    "api.service.name": "eventSource",
    "api.request.uid": "requestID",
    "api.response.error": "errorCode",
    "api.response.error_message": "errorMessage",
    "cloud.account.uid": "recipientAccountId",
    "cloud.region": "awsRegion",
    "http_request.user_agent": "userAgent",
    "actor.user.type": "userIdentity.type",
    "actor.user.uid": "userIdentity.principalId",
    "actor.user.account.uid": "userIdentity.accountId",
    "actor.session.uid": "userIdentity.accessKeyId",
}


def read_events(lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    """CloudTrail records: alone, in arrays, in a log file's {"Records": [...]}, or from `lookup-events`."""
    return read_json_lines(lines, normalize, _unwrap)


def _unwrap(nested: Object) -> Json:
    if "eventName" in nested:  # a record itself
        return None
    if isinstance(event := nested.get("CloudTrailEvent"), str):
        return cast("Json", msgspec.json.decode(event))
    return next((held for name in _WRAPPERS if isinstance(held := nested.get(name), list)), None)


def normalize(record: Object) -> Event:
    """One CloudTrail record as API activity.

    Raises:
        InvalidEvent: no eventTime or no eventName.
    """
    operation = record.get("eventName")
    if not isinstance(operation, str) or not operation:
        raise InvalidEvent("eventName is missing: this is no CloudTrail record")
    failed = record.get("errorCode") is not None
    values: dict[str, Value] = {
        # Collectors such as Logstash move the time to @timestamp.
        "time": epoch_ms(record.get("eventTime") or record.get("@timestamp"), "eventTime"),
        "activity_id": _activity(operation),
        "severity_id": 1,
        "status_id": _FAILURE if failed else _SUCCESS,
        "metadata.log_name": "cloudtrail",
        "cloud.provider": "AWS",
        "unmapped.source": msgspec.json.encode(record).decode(),
    }
    for path, source in _PATHS.items():
        text(values, path, pick(record, source))
    # Calls between services carry the name of a service instead of an address.
    address(values, "src_endpoint", record.get("sourceIPAddress"))
    text(values, "actor.user.name", _principal(record))
    return Event(_API_ACTIVITY, values)


def _activity(operation: str) -> int:
    return next((activity for activity, verbs in _VERBS if operation.startswith(verbs)), _OTHER)


def _principal(record: Object) -> Json:
    return (
        pick(record, "userIdentity.userName")
        or pick(record, "userIdentity.sessionContext.sessionIssuer.userName")
        or pick(record, "userIdentity.arn")
        or pick(record, "userIdentity.type")
    )
