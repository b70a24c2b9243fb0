"""Kubernetes audit log (audit.k8s.io/v1): every request is API activity (6003).

The whole original stays under `unmapped.source`, so that every JSON path of it can be used in rules and search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, Json, RefusedLine, Value
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
    "api.version": "objectRef.apiVersion",
    "http_request.user_agent": "userAgent",
    "actor.user.name": "user.username",
    "actor.user.uid": "user.uid",
    "api.response.error_message": "responseStatus.message",
    "api.response.error": "responseStatus.reason",
    "metadata.log_level": "level",
}
_FORBIDDEN = "forbid"


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
    resource = _resource(audit)
    values: dict[str, Value] = {
        "time": epoch_ms(stamp, "requestReceivedTimestamp"),
        "activity_id": _ACTIVITIES.get(verb, _OTHER),
        "severity_id": 1,
        "metadata.log_name": "k8s-audit",
        "metadata.event_code": verb,
        "cloud.provider": "Kubernetes",
        "api.operation": verb,
        "unmapped.source": msgspec.json.encode(audit).decode(),
    }
    text(values, "api.service.name", resource)
    for path, source in _PATHS.items():
        text(values, path, pick(audit, source))
    text(values, "message", _message(audit, verb, resource))
    _outcome(values, audit)
    _object(values, audit, resource)
    _groups(values, pick(audit, "user.groups"))
    addresses = audit.get("sourceIPs")
    if isinstance(addresses, list) and addresses:
        address(values, "src_endpoint", addresses[0])
    else:  # what the API server does by itself
        values["src_endpoint.svc_name"] = "kube-apiserver"
    return Event(_API_ACTIVITY, values)


def _resource(audit: Object) -> str:
    """What was asked for: `pods`, `pods/exec`; of what is no resource (`/healthz`) the path."""
    resource, part = pick(audit, "objectRef.resource"), pick(audit, "objectRef.subresource")
    if isinstance(resource, str) and resource:
        return f"{resource}/{part}" if isinstance(part, str) and part else resource
    return str(audit.get("requestURI") or "").partition("?")[0]


def _message(audit: Object, verb: str, resource: str) -> str:
    name, namespace = pick(audit, "objectRef.name"), pick(audit, "objectRef.namespace")
    where = f" in {namespace}" if namespace else ""
    whom = f" as {other}" if (other := pick(audit, "impersonatedUser.username")) else ""
    return f"{pick(audit, 'user.username') or 'somebody'}{whom}: {verb} {resource}{f' {name}' if name else ''}{where}"


def _outcome(values: dict[str, Value], audit: Object) -> None:
    """How it ended; a request that has only been received has not ended."""
    code = pick(audit, "responseStatus.code")
    decision = pick(audit, "annotations")
    forbidden = isinstance(decision, dict) and decision.get("authorization.k8s.io/decision") == _FORBIDDEN
    if isinstance(decision, dict):
        text(values, "status_detail", decision.get("authorization.k8s.io/reason"))
    if isinstance(code, int):
        values["api.response.code"] = code
        text(values, "status_code", code)
    if isinstance(code, int) or forbidden:
        failed = forbidden or (isinstance(code, int) and code >= _FIRST_ERROR)
        values["status_id"] = _FAILURE if failed else _SUCCESS


def _object(values: dict[str, Value], audit: Object, resource: str) -> None:
    reference = audit.get("objectRef")
    if not isinstance(reference, dict):
        return
    parts = {"name": reference.get("name"), "namespace": reference.get("namespace"), "uid": reference.get("uid")}
    named = {key: value for key, value in parts.items() if isinstance(value, str) and value}
    if "name" in named or "uid" in named:
        values["resources"] = msgspec.json.encode([{**named, "type": resource}]).decode()


def _groups(values: dict[str, Value], groups: Json) -> None:
    named = [{"name": group} for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
    if named:
        values["actor.user.groups"] = msgspec.json.encode(named).decode()
