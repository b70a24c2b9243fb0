"""What a program's line means: class, activity and attributes; read from content/mappings/syslog.toml."""

from __future__ import annotations

import ipaddress
import pkgutil
import re
import tomllib
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from tocsin.model.event import Event, Value
from tocsin.model.schema import Kind, attribute
from tocsin.normalize.syslog.line import Line

__all__ = ["common_values", "event_of"]

_BASE_EVENT, _OTHER, _LOGIN, _JOB = 0, 99, 3002, 1006
# OCSF: fatal, critical, critical, high, medium, informational, ...
_SEVERITIES: Final = (6, 5, 5, 4, 3, 1, 1, 1)
# sshd logs under these names since it was split.
_ALIASES: Final = {"sshd-session": "sshd", "sshd-auth": "sshd"}
_PAM: Final = "pam_"
_PART: Final = re.compile(r"(?: : | ; )([A-Z]{2,10})=(.*?)(?= ; |$)")


class Meaning(NamedTuple):
    """What a line that fits the pattern becomes."""

    pattern: re.Pattern[str]
    class_uid: int
    constants: dict[str, Value]
    paths: tuple[tuple[str, str], ...]  # group, attribute


@cache
def _meanings() -> dict[str, list[Meaning]]:
    text = (pkgutil.get_data("tocsin", "content/mappings/syslog.toml") or b"").decode()
    content = tomllib.loads(text)
    found: dict[str, list[Meaning]] = {}
    for entry in content["line"]:
        meaning = _meaning(entry, content["fields"])
        for program in entry["programs"]:
            found.setdefault(program, []).append(meaning)
    return found


def _meaning(entry: dict[str, Any], fields: dict[str, str]) -> Meaning:
    pattern = re.compile(entry["match"])
    constants: dict[str, Value] = {"activity_id": entry["activity"], "status_id": entry["status"]}
    paths = tuple((group, fields[group]) for group in pattern.groupindex)
    return Meaning(pattern, entry["class"], constants | entry.get("set", {}), paths)


def event_of(line: Line) -> Event:
    """The event of a line; a Base Event where no pattern fits."""
    values = common_values(line)
    text = line.text.lstrip()
    program = _ALIASES.get(line.program, line.program.rpartition("/")[2])
    for meaning in _meanings().get("pam" if text.startswith(_PAM) else program, ()):
        if found := meaning.pattern.match(text):
            return _event(meaning, found, values, line)
    return Event(_BASE_EVENT, {**values, "activity_id": _OTHER})


def _event(meaning: Meaning, found: re.Match[str], values: dict[str, Value], line: Line) -> Event:
    values |= meaning.constants
    for group, path in meaning.paths:
        if text := found[group]:
            _fill(values, path, text)
    if meaning.class_uid == _LOGIN:
        values["dst_endpoint.hostname"] = line.host or "unknown"
    if "PWD=" in line.text:
        values["unmapped.source"] = msgspec.json.encode(_parts(line.text)).decode()
    return Event(meaning.class_uid, values)


def _parts(text: str) -> dict[str, str]:
    """What sudo says of a command, the command last, which may hold anything."""
    before, _, command = text.partition("COMMAND=")
    parts = dict(_PART.findall(before))
    return {**parts, "COMMAND": command} if command else parts


def _fill(values: dict[str, Value], path: str, text: str) -> None:
    declared = attribute(path)
    if path.endswith("_endpoint.ip") and not _is_address(text):
        values[path.removesuffix("ip") + "hostname"] = text
    elif declared is not None and declared.kind is Kind.INTEGER:
        values[path] = min(int(text), 0xFFFF)
    else:
        values[path] = text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def common_values(line: Line) -> dict[str, Value]:
    """What every line says: when, where, who, and the text."""
    values: dict[str, Value] = {
        "time": line.time,
        "severity_id": 1 if line.severity is None else _SEVERITIES[line.severity & 7],
        "message": line.text,
        "metadata.log_name": "syslog",
        "device.hostname": line.host or "unknown",
        "device.type_id": 0,
    }
    names = {"metadata.log_provider": _ALIASES.get(line.program, line.program), "metadata.log_source": line.facility}
    values |= {path: text for path, text in names.items() if text}
    if line.program and line.pid is not None:
        values["actor.process.name"], values["actor.process.pid"] = line.program, line.pid
    if line.data:
        values["unmapped.source"] = msgspec.json.encode(line.data).decode()
    return values
