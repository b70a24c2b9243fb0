"""One event in one line: what kind, who did it, what was done."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tocsin.model.event import Json
from tocsin.model.schema import CLASSES

__all__ = ["Summary", "glimpse", "summary"]

_INIT, _LONGEST_LINEAGE = 1, 6

_KINDS = {
    0: "Event",
    1001: "File",
    1002: "Kernel module",
    1004: "Memory",
    1006: "Job",
    1007: "Process",
    3001: "Account",
    3002: "Login",
    3006: "Group",
    4001: "Network",
    4003: "DNS",
    6003: "API",
}


class Summary(msgspec.Struct, frozen=True):
    """An event as its row in a list shows it."""

    kind: str
    activity: str
    actor: str
    said: str
    user: str
    hostname: str
    failed: bool


def summary(event: Mapping[str, Json]) -> Summary:
    """The line that stands for an event."""
    uid = event.get("class_uid")
    class_uid = uid if isinstance(uid, int) else 0
    event_class = CLASSES.get(class_uid, CLASSES[0])
    activity = _text(event, "activity_name") or event_class.activities[0]
    return Summary(
        kind=_KINDS.get(class_uid, event_class.caption),
        activity=activity,
        actor=_text(event, "actor.process.name") or _text(event, "actor.user.name"),
        said=(said(event) if (said := _SAID.get(class_uid)) else "") or _text(event, "message") or event_class.caption,
        user=_user(class_uid, event),
        hostname=_text(event, "device.hostname") or _text(event, "device.uid"),
        failed=_at(event, "status_id") == 2,  # noqa: PLR2004  # OCSF's "Failure"
    )


def glimpse(event: Mapping[str, Json]) -> str:
    """What a title does not say: which processes led to the event, or else what happened; empty without an event."""
    subject = _at(event, "process" if event.get("class_uid") == 1007 else "actor.process")  # noqa: PLR2004  # processes
    names = _lineage(subject) if isinstance(subject, dict) else []
    if len(names) > 1:
        return " \u203a ".join(names)
    return summary(event).said if event else ""


def _lineage(subject: Mapping[str, Json]) -> list[str]:
    """Names from the first ancestor below init to the process itself; a fork of the same program counts once."""
    ancestry = subject.get("ancestry")
    chain = [subject, *(ancestry if isinstance(ancestry, list) else [])]
    below_init = [said for said in chain if isinstance(said, dict) and said.get("pid") != _INIT]
    names = [name for said in reversed(below_init) if (name := _text(said, "name"))]
    distinct = [name for name, before in zip(names, [None, *names], strict=False) if name != before]
    return distinct if len(distinct) <= _LONGEST_LINEAGE else [*distinct[:2], "\u2026", *distinct[-3:]]


def _process(event: Mapping[str, Json]) -> str:
    return _text(event, "process.cmd_line") or _text(event, "process.file.path")


def _file(event: Mapping[str, Json]) -> str:
    result = _text(event, "file_result.path")
    return _text(event, "file.path") + (f" \u2192 {result}" if result else "")


def _driver(event: Mapping[str, Json]) -> str:
    return _text(event, "driver.file.path") or _text(event, "driver.file.name")


def _connection(event: Mapping[str, Json]) -> str:
    return _endpoint(event, "dst_endpoint") or _endpoint(event, "src_endpoint")


def _job(event: Mapping[str, Json]) -> str:
    return _text(event, "job.cmd_line") or _text(event, "job.name")


def _call(event: Mapping[str, Json]) -> str:
    return " ".join(filter(None, (_text(event, "api.service.name"), _text(event, "api.operation"))))


def _query(event: Mapping[str, Json]) -> str:
    return _text(event, "query.hostname")


def _endpoint(event: Mapping[str, Json], side: str) -> str:
    host = _text(event, f"{side}.ip") or _text(event, f"{side}.hostname") or _text(event, f"{side}.svc_name")
    port = _at(event, f"{side}.port")
    shown = f"[{host}]" if ":" in host and port else host
    return f"{shown}:{port}" if host and port else shown


def _identity(event: Mapping[str, Json]) -> str:
    name = _text(event, "user.name") or _text(event, "group.name") or _text(event, "user.uid")
    origin = _endpoint(event, "src_endpoint")
    service = _text(event, "service.name")
    return " ".join(filter(None, (name, f"from {origin}" if origin else "", f"through {service}" if service else "")))


def _user(class_uid: int, event: Mapping[str, Json]) -> str:
    paths = ["process.user.name", "process.user.uid"] if class_uid == 1007 else []  # noqa: PLR2004  # process activity
    paths += ["actor.user.name", "actor.process.user.name", "actor.process.user.uid", "user.name"]
    return next(filter(None, (_text(event, path) for path in paths)), "")


def _at(event: Mapping[str, Json], path: str) -> Json:
    place: Json = dict(event)
    for step in path.split("."):
        if not isinstance(place, dict):
            return None
        place = place.get(step)
    return place


def _text(event: Mapping[str, Json], path: str) -> str:
    value = _at(event, path)
    return value if isinstance(value, str) else ""


_SAID = {
    1001: _file,
    1002: _driver,
    1006: _job,
    1007: _process,
    3001: _identity,
    3002: _identity,
    3006: _identity,
    4001: _connection,
    4003: _query,
    6003: _call,
}
