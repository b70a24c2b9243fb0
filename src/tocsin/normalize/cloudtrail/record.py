"""One CloudTrail record to an event."""

from __future__ import annotations

from typing import Final

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, Json, Value
from tocsin.normalize.cloudtrail.calls import API_ACTIVITY, Call, call_of
from tocsin.normalize.lines import Object, address, epoch_ms, pick, text

__all__ = ["normalize"]

_AUTHENTICATION, _GROUP_MANAGEMENT = 3002, 3006
_SUCCESS, _FAILURE = 1, 2
_PATHS: Final = {
    "metadata.original_event_uid": "eventID",
    "metadata.event_code": "eventName",
    "api.operation": "eventName",
    "api.service.name": "eventSource",
    "api.version": "apiVersion",
    "api.request.uid": "requestID",
    "api.response.error": "errorCode",
    "api.response.error_message": "errorMessage",
    "cloud.region": "awsRegion",
    "http_request.user_agent": "userAgent",
    "actor.user.type": "userIdentity.type",
    "actor.user.uid": "userIdentity.principalId",
    "actor.user.account.uid": "userIdentity.accountId",
    "actor.session.uid": "userIdentity.accessKeyId",
    "actor.session.issuer": "userIdentity.sessionContext.sessionIssuer.arn",
    "actor.invoked_by": "userIdentity.invokedBy",
}
_NAMES: Final = (
    "userIdentity.userName",
    "userIdentity.sessionContext.sessionIssuer.userName",
    "userIdentity.arn",
    "userIdentity.invokedBy",
    "userIdentity.type",
)


def normalize(record: Object) -> Event:
    """One CloudTrail record as API activity, or as what the call is about.

    Raises:
        InvalidEvent: no eventTime or no eventName.
    """
    # Insights tell of calls, which they name inside.
    told = record if "insightDetails" not in record else {**record, **_insight(record["insightDetails"])}
    operation = told.get("eventName")
    if not isinstance(operation, str) or not operation:
        raise InvalidEvent("eventName is missing: this is no CloudTrail record")
    call = call_of(str(told.get("eventSource", "")), operation)
    values: dict[str, Value] = {
        # Collectors such as Logstash move the time to @timestamp.
        "time": epoch_ms(record.get("eventTime") or record.get("@timestamp"), "eventTime"),
        "activity_id": call.activity_id,
        "severity_id": 1,
        "status_id": _FAILURE if _failed(record) else _SUCCESS,
        "metadata.log_name": "cloudtrail",
        "cloud.provider": "AWS",
        "unmapped.source": msgspec.json.encode(record).decode(),
    }
    for path, source in _PATHS.items():
        text(values, path, pick(told, source))
    _caller(values, told)
    if call.class_uid == API_ACTIVITY:
        _resources(values, record)
    return _of_identity(Event(call.class_uid, values), call, told)


def _insight(details: Json) -> Object:
    return {key: pick(details, key) for key in ("eventName", "eventSource")}


def _failed(record: Object) -> bool:
    """A call that failed has an error; a login says so in its answer."""
    return record.get("errorCode") is not None or pick(record, "responseElements.ConsoleLogin") == "Failure"


def _caller(values: dict[str, Value], record: Object) -> None:
    name = next((found for path in _NAMES if (found := pick(record, path))), None)
    text(values, "actor.user.name", name or pick(record, "eventSource"))
    text(values, "cloud.account.uid", record.get("recipientAccountId") or pick(record, "userIdentity.accountId"))
    mfa = pick(record, "userIdentity.sessionContext.attributes.mfaAuthenticated")
    if mfa is not None:
        values["actor.session.is_mfa"] = mfa in {"true", True}
    # Calls between services carry the name of a service instead of an address.
    address(values, "src_endpoint", record.get("sourceIPAddress") or pick(record, "eventSource"))


def _resources(values: dict[str, Value], record: Object) -> None:
    listed = record.get("resources")
    named = [each for each in listed if isinstance(each, dict) and each.get("ARN")] if isinstance(listed, list) else []
    if named:
        found = [{"uid": each["ARN"], "type": str(each.get("type", ""))} for each in named]
        values["resources"] = msgspec.json.encode(found).decode()


def _of_identity(event: Event, call: Call, record: Object) -> Event:
    """Fill in whom the call is about; one that does not say so is API activity like any other."""
    if call.class_uid == API_ACTIVITY:
        return event
    values = event.values
    if call.class_uid == _GROUP_MANAGEMENT:
        text(values, "group.name", _first(record, call.group))
        text(values, "user.name", _first(record, call.user))
        return event if "group.name" in values else Event(API_ACTIVITY, {**values, "activity_id": call.verb})
    _account(values, _first(record, call.user))
    text(values, "policy.name", _first(record, call.policy))
    if call.class_uid == _AUTHENTICATION:
        values["service.name"] = str(record.get("eventSource"))
        values["is_remote"] = True
        if (mfa := pick(record, "additionalEventData.MFAUsed")) is not None:
            values["is_mfa"] = mfa == "Yes"
    return event


def _first(record: Object, paths: tuple[str, ...]) -> Json:
    return next((found for path in paths if (found := pick(record, path))), None)


def _account(values: dict[str, Value], named: Json) -> None:
    """Whom the call is about: an account, or the role that an ARN names; else the caller himself."""
    if isinstance(named, str) and named:
        values["user.name"] = named.rpartition("/")[2]
        if named.startswith("arn:"):
            values["user.uid"] = named
        return
    for part in ("name", "uid"):
        if (own := values.get(f"actor.user.{part}")) is not None:
            values[f"user.{part}"] = own
