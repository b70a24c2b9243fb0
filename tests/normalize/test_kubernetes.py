"""Kubernetes audit: every request is a valid API activity, saying who did what to which object, and how it ended."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from event_frames import frames_of
from ocsf_schema import problems
from rule_events import Draft, satisfy
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.event import Event
from tocsin.normalize import kubernetes
from windows_events import flat

REQUEST: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "auditID": "0d9c8a3e-1f0c-4d43-9f5e-6f3b5d6a7b8c",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/shop/secrets/db?x=1",
    "verb": "get",
    "user": {"username": "jane", "uid": "u-1", "groups": ["developers", "system:authenticated"]},
    "sourceIPs": ["203.0.113.7", "10.0.0.1"],
    "userAgent": "kubectl/v1.31",
    "objectRef": {"resource": "secrets", "namespace": "shop", "name": "db", "apiVersion": "v1"},
    "responseStatus": {"code": 200},
    "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z",
    "stageTimestamp": "2026-01-02T03:04:05.698901Z",
    "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: role reader"},
}
_FILLED = {
    "time",
    "activity_id",
    "message",
    "api.operation",
    "api.service.name",
    "api.request.uid",
    "actor.user.name",
    "cloud.provider",
    "http_request.user_agent",
    "unmapped.source",
}


def _event(**changes: object) -> Event:
    (event,) = kubernetes.read_events([json.dumps(REQUEST | changes).encode()])
    assert isinstance(event, Event)
    assert problems(event) == []
    return event


def test_who_did_what_to_which_object() -> None:
    """Groups and object are lists of objects, as OCSF has them; the first address is the caller's."""
    values = _event().values
    assert values.keys() >= _FILLED
    assert values["message"] == "jane: get secrets db in shop"
    assert values["src_endpoint.ip"] == "203.0.113.7"
    assert json.loads(str(values["resources"])) == [{"name": "db", "namespace": "shop", "type": "secrets"}]
    assert json.loads(str(values["actor.user.groups"])) == [{"name": "developers"}, {"name": "system:authenticated"}]
    assert (values["status_id"], values["api.response.code"], values["status_detail"]) == (1, 200, "RBAC: role reader")


@pytest.mark.parametrize(
    ("changes", "resource", "activity", "status"),
    [
        ({"verb": "create", "objectRef": {"resource": "pods", "subresource": "exec", "name": "p"}}, "pods/exec", 1, 1),
        ({"verb": "create", "objectRef": {"resource": "pods", "subresource": "attach"}}, "pods/attach", 1, 1),
        ({"verb": "get", "objectRef": {"resource": "pods", "subresource": "portforward"}}, "pods/portforward", 2, 1),
        ({"verb": "patch", "objectRef": {"resource": "clusterrolebindings", "name": "c"}}, "clusterrolebindings", 3, 1),
        ({"verb": "deletecollection", "objectRef": {"resource": "events"}}, "events", 4, 1),
        ({"verb": "impersonate", "objectRef": {"resource": "users", "name": "root"}}, "users", 99, 1),
        ({"verb": "get", "objectRef": None, "requestURI": "/healthz?v=1"}, "/healthz", 2, 1),
        ({"verb": "list", "responseStatus": {"code": 403, "reason": "Forbidden"}}, "secrets", 2, 2),
        ({"responseStatus": None, "annotations": {"authorization.k8s.io/decision": "forbid"}}, "secrets", 2, 2),
        ({"stage": "RequestReceived", "responseStatus": None, "annotations": None}, "secrets", 2, None),
        ({"sourceIPs": None, "user": {"username": "system:anonymous"}}, "secrets", 2, 1),
        ({"user": {"username": "jane", "groups": "none"}, "sourceIPs": ["nonsense"]}, "secrets", 2, 1),
    ],
)
def test_every_kind_of_request_is_valid(
    changes: dict[str, object], resource: str, activity: int, status: int | None
) -> None:
    """Subresources, roles, collections, paths that are no resource, refusals, and what has only been received."""
    values = _event(**changes).values
    assert values.keys() >= _FILLED
    assert (values["api.service.name"], values["activity_id"], values.get("status_id")) == (resource, activity, status)


def test_whom_somebody_acts_as_is_said() -> None:
    """The actor stays who he is; whom he impersonates is in the message and the original."""
    values = _event(impersonatedUser={"username": "system:admin"}).values
    assert (values["actor.user.name"], values["message"]) == ("jane", "jane as system:admin: get secrets db in shop")


@pytest.mark.data
def test_every_public_rule_fires_on_a_request_made_for_it(public_data: Path) -> None:
    """All rules for the audit log find theirs among twenty."""
    folder = [public_data / "sigma/rules/application/kubernetes"]
    rules = [rule for rule in load(folder).rules if rule.logsource.product == "kubernetes"]
    raws = {rule.path: rule for rule in load([Path(rule.path) for rule in rules], RAW).rules}
    chance = random.Random(3)  # noqa: S311 - reproducible requests, no secrets
    silent = {rule.path for rule in rules}
    for rule in rules:
        requests = []
        for _ in range(20):
            draft = Draft()
            satisfy(flat(raws[rule.path].condition), chance.randrange, draft)
            requests.append(json.dumps(_request(draft.attributes)).encode())
        events = [item for item in kubernetes.read_events(requests) if isinstance(item, Event)]
        if any(True for frame in frames_of(events).values() for _ in Engine([rule]).matches(frame)):
            silent.discard(rule.path)
    assert len(rules) == 16
    assert silent == set()


# Where an audit event has what public rules shorten.
_SHORT = {
    "apiGroup": ("objectRef", "apiGroup"),
    "hostPath": ("requestObject", "spec", "volumes", "hostPath"),
    "capabilities": ("requestObject", "spec", "containers", "securityContext", "capabilities", "add"),
}


def _request(fields: dict[str, str]) -> dict[str, Any]:
    made = json.loads(json.dumps(REQUEST))
    for path, text in fields.items():
        *folders, leaf = _SHORT.get(path, tuple(path.split(".")))
        place = made
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = int(text) if text.isdecimal() else text
    return dict(made)
