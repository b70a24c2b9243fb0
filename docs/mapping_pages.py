# ruff: noqa: E501 -- pages are wrapped as pages are
"""The pages about sources that follow from the mappings in content/mappings: Windows, text logs, CloudTrail."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tocsin.model.schema import CLASSES

__all__ = ["PAGES"]

_MAPPINGS = Path(__file__).parents[1] / "src" / "tocsin" / "content" / "mappings"
_WINDOWS = """# Windows event logs

`--source windows` reads what collectors write as JSON: the event's own XML as converters turn it (`{"Event": {"System":
..., "EventData": ...}}`, attributes as `#attributes`, `@Name` or beside the element), winlogbeat's (ECS and before), and
flat objects as NXLog, OTRF's datasets, Microsoft's tables (EventData as XML too) and PowerShell's `ConvertTo-Json` write
them. Whatever the shape, every field of the event's data is kept under its own name in `unmapped.source`, beside `EventID`,
`Channel`, `Provider_Name`, `Computer` and `Level`; so rules find it. Data without names is `Data` and `param1`, `param2`, ...

Time is Sysmon's `UtcTime` where there is one, else when the event was logged; a time that names no zone is UTC. Users are
split at the backslash (`name`, `domain`), and kept as written in `display_name`. A dash is no user, address or port. An
event that lacks what its class is about (a file without a name) is a Base Event, and so is every event that is not listed
here. Of the device only the name is known; `device.os.type_id` is 100.
"""
_SYSLOG = """# Text logs

`--source syslog` reads, line by line and mixed as they come: RFC 5424, RFC 3164 (with `<priority>` or without), the ISO
times of rsyslog and `journalctl -o short-iso`, the journal's JSON export (`journalctl -o json`), access logs in the common
and combined formats (with the virtual host before it or without), and the error logs of Apache and nginx. The text is the
event's `message`; `metadata.log_provider` is the program, `metadata.log_source` the facility.

**No line is lost.** One that has no known form is a Base Event with activity 0, the line as its message, at the time of the
line before it. A program's line that no pattern fits is a Base Event with activity 99.

**Years.** RFC 3164 leaves out the year. It is the latest that does not put the line more than a day after the file was
last written (over HTTP and from a pipe: after now); the day is for clocks that are ahead and zones that are unknown. A file
that was written for more than a year, or has lost its time, gets wrong years: use a format that names them.

**Zones.** A time that names no zone is UTC; `tocsin events --timezone Europe/Berlin` says otherwise.

Severity follows the priority: emergency is fatal, alert and critical are critical, error is high, warning is medium, all
else is informational. Access logs are HTTP Activity 4002, one activity per method; a status from 400 on is a failure; a
request line that is none is kept whole in `http_request.url.url_string`. Web servers' error logs are Base Events of the
provider `apache` or `nginx`.

What a program's line means is looked up by program, the first pattern that fits. A caller chooses the name he logs in with,
so where he comes from is what sshd says last.
"""
_CLOUDTRAIL = """# AWS CloudTrail

`--source cloudtrail` reads records alone, in arrays, in log files as S3 holds them (`{"Records": [...]}`, packed or not),
from `aws cloudtrail lookup-events`, in EventBridge's `detail`, in CloudWatch's subscriptions, and as the `data` of
CloudEvents and of StreamAlert's test cases. Digest files hold no records and give no events. Insights are API activity of
the call that they are about.

The whole record is `unmapped.source`, so that every path of it can be used in rules and search. A record is API Activity
6003, its activity by the first word of the call's name (Create, Get, Update, Delete, ...), unless the call is about
identities:
"""
_CLOUDTRAIL_END = """
An account that the call does not name is the caller's own; a role's ARN is `user.uid`, its name `user.name`. A call about a
group that names none is API activity.

| Attribute | From |
|---|---|
| `status_id` | failure if there is an `errorCode`, or if a login's answer says so |
| `actor.user.name` | `userName`, the role that issued the session, `arn`, `invokedBy`, or the type |
| `actor.user.uid`, `.type`, `.account.uid` | `principalId`, `type`, `accountId` |
| `actor.session.uid`, `.issuer`, `.is_mfa` | `accessKeyId`, `sessionIssuer.arn`, `mfaAuthenticated` |
| `src_endpoint.ip` or `.svc_name` | `sourceIPAddress`, which of a service's call is its name; else `eventSource` |
| `is_mfa`, `is_remote`, `service.name` of logins | `additionalEventData.MFAUsed`, true, `eventSource` |
| `resources` of API activity | `resources`: `[{uid, type}]` |
| `http_request.user_agent`, `api.*`, `cloud.*` | `userAgent`; `eventName`, `eventSource`, `requestID`, `errorCode`, `errorMessage`; `awsRegion`, `recipientAccountId` |
"""


def windows_page() -> str:
    """Windows: which events become what, and which field fills which attribute."""
    content = _read("windows")
    parts = [_WINDOWS]
    for channel, entries in content["channel"].items():
        rows = [_windows_row(entry) for entry in entries]
        parts += [f"## {channel}\n", _table(("Event", "Class", "Activity", "What", "Attributes"), rows)]
    parts.append("## Groups of attributes\n")
    for name, attributes in content["groups"].items():
        rows = [(f"`{path}`", _fields(fields)) for path, fields in attributes.items()]
        parts += [f"### {name}\n", _table(("Attribute", "Field"), rows)]
    return "\n".join(parts)


def _windows_row(entry: dict[str, Any]) -> tuple[str, ...]:
    when = "".join(f" if {field} is {' or '.join(values)}" for field, values in entry.get("when", {}).items())
    numbers = ", ".join(map(str, entry["ids"])) + when
    own = [f"`{path}`: {_fields(fields)}" for path, fields in entry.get("attributes", {}).items()]
    groups = [f"group {name}" for name in entry.get("use", ())]
    return (numbers, *_kind(entry), entry.get("message", ""), "; ".join([*groups, *own]))


def _fields(fields: str | list[str]) -> str:
    return " or ".join(f"`{field}`" for field in ([fields] if isinstance(fields, str) else fields))


def syslog_page() -> str:
    """Text logs: which line of which program becomes what."""
    content = _read("syslog")
    rows = []
    for line in content["line"]:
        paths = [content["fields"][group] for group in _groups(line["match"])]
        filled = ", ".join(f"`{path}`" for path in dict.fromkeys([*paths, *line.get("set", {})]))
        outcome = "failure" if line["status"] == 2 else "success"  # noqa: PLR2004 -- OCSF's failure
        rows.append((", ".join(line["programs"]), line["says"], *_kind(line), outcome, filled))
    return "\n".join([_SYSLOG, _table(("Program", "Says", "Class", "Activity", "Outcome", "Filled"), rows)])


def _groups(pattern: str) -> list[str]:
    return [part.partition(">")[0] for part in pattern.split("(?P<")[1:]]


def cloudtrail_page() -> str:
    """CloudTrail: which calls become what."""
    calls = _read("cloudtrail")["calls"]
    rows = [(call["source"], ", ".join(f"`{name}`" for name in call["names"]), *_kind(call)) for call in calls]
    return "\n".join([_CLOUDTRAIL, _table(("Service", "Calls", "Class", "Activity"), rows) + _CLOUDTRAIL_END])


def _kind(entry: dict[str, Any]) -> tuple[str, str]:
    event_class = CLASSES[entry["class"]]
    return (
        f"{event_class.caption} {event_class.uid}",
        f"{event_class.activities[entry['activity']]} {entry['activity']}",
    )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_MAPPINGS / f"{name}.toml").read_text())


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = tuple(head)
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


PAGES = {"mapping-windows.md": windows_page, "mapping-syslog.md": syslog_page, "mapping-cloudtrail.md": cloudtrail_page}
