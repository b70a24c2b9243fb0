"""Kubernetes audit log (audit.k8s.io/v1): every request is API activity (6003).

The whole original stays under `unmapped.source`, so that every JSON path of it can be used in rules and search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, RefusedLine, Value
from tocsin.normalize.lines import Object, address, epoch_ms, pick, read_json_lines, text

__all__ = ["normalize", "read_events"]

_API_ACTIVITY = 6003
_ACTIVITIES = {
    "create": 1,
    "get": 2,
    "list": 2,
    "watch": 2,
    "update": 3,
    "patch": 3,
    "delete": 4,
    "deletecollection": 4,
}
_OTHER, _SUCCESS, _FAILURE, _FIRST_ERROR = 99, 1, 2, 400
_PATHS = {
    "metadata.original_event_uid": "auditID",
    "api.request.uid": "auditID",
    "api.service.name": "objectRef.resource",
    "http_request.user_agent": "userAgent",
    "actor.user.name": "user.username",
    "actor.user.uid": "user.uid",
    "api.response.error_message": "responseStatus.message",
    "api.response.error": "responseStatus.reason",
}


def read_events(lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    """Audit events: one JSON object a line, either an event or a webhook's EventList, or one such over many lines."""
    return read_json_lines(lines, normalize, lambda nested: nested.get("items") if _is_list(nested) else None)


def _is_list(nested: Object) -> bool:
    return nested.get("kind") == "EventList" and isinstance(nested.get("items"), list)


def normalize(audit: Object) -> Event:
    """One audit event as API activity.

    Raises:
        InvalidEvent: no verb, or no time.
    """
    verb = audit.get("verb")
    if not isinstance(verb, str) or not verb:
        raise InvalidEvent("verb is missing: this is no Kubernetes audit event")
    stamp = audit.get("requestReceivedTimestamp") or audit.get("stageTimestamp")
    code = pick(audit, "responseStatus.code")
    values: dict[str, Value] = {
        "time": epoch_ms(stamp, "requestReceivedTimestamp"),
        "activity_id": _ACTIVITIES.get(verb, _OTHER),
        "severity_id": 1,
        "status_id": _FAILURE if isinstance(code, int) and code >= _FIRST_ERROR else _SUCCESS,
        "metadata.log_name": "k8s-audit",
        "metadata.event_code": verb,
        "cloud.provider": "Kubernetes",
        "api.operation": verb,
        "unmapped.source": msgspec.json.encode(audit).decode(),
    }
    text(values, "status_code", code)
    for path, source in _PATHS.items():
        text(values, path, pick(audit, source))
    addresses = audit.get("sourceIPs")
    if isinstance(addresses, list) and addresses:
        address(values, "src_endpoint", addresses[0])
    return Event(_API_ACTIVITY, values)
