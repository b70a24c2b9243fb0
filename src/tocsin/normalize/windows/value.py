"""How Windows writes values, and what attributes they become."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from tocsin.model.event import Json, Value
from tocsin.model.schema import Kind, attribute

__all__ = ["Convert", "Derived", "converter", "derived", "file_name"]

Convert = Callable[[Any], Value | None]
Derived = tuple[str, Callable[[str], Value | None]]  # an attribute, and how it follows from the text of another

_NONE: Final = frozenset({"-", "", "N/A", "(null)", "S-1-0-0", "S-1-5-7-0"})
_INTEGRITY: Final = {
    "untrusted": 1,
    "low": 2,
    "medium": 3,
    "high": 4,
    "system": 5,
    "s-1-16-0": 1,
    "s-1-16-4096": 2,
    "s-1-16-8192": 3,
    "s-1-16-8448": 3,
    "s-1-16-12288": 4,
    "s-1-16-16384": 5,
    "s-1-16-20480": 6,
}
_DIRECTIONS: Final = {"true": 2, "false": 1, "%%14593": 2, "%%14592": 1}
_PROTOCOLS: Final = {"ntlm": 1, "ntlmssp": 1, "kerberos": 2, "wdigest": 3}
_START_TYPES: Final = {
    **{str(number): number + 1 for number in range(5)},
    "boot start": 1,
    "system start": 2,
    "auto start": 3,
    "demand start": 4,
    "disabled": 5,
}
_LOGON_TYPES: Final = {0: 1, **{number: number for number in (2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13)}}
_REMOTE: Final = frozenset({3, 8, 10, 12})
# OCSF's numbers of the algorithms that Sysmon names.
_ALGORITHMS: Final = {"MD5": 1, "SHA1": 2, "SHA256": 3, "IMPHASH": 18}
_NAMES: Final = {"SHA1": "SHA-1", "SHA256": "SHA-256", "IMPHASH": "Imphash"}
_COMMAND: Final = re.compile(r"<(?:\w+:)?(Command|Arguments)>(.*?)</", re.DOTALL)
_OTHER: Final = 99
_LARGEST: Final = 2**63 - 1


def converter(path: str) -> Convert:
    """What turns a field's value into that of the attribute; it gives None where the field says nothing."""
    if path in _SPECIAL:
        return _SPECIAL[path]
    for end, convert in _BY_END:
        if path.endswith(end):
            return convert
    declared = attribute(path)
    return _number if declared is not None and declared.kind is Kind.INTEGER else _text


def derived(path: str) -> tuple[Derived, ...]:
    """What follows from the attribute's text: file and process names, user and domain, the name of a value."""
    if path.endswith("file.path"):
        return _derived_of_file(path.removesuffix(".path"))
    if path.endswith(".display_name"):
        user = path.removesuffix(".display_name")
        return ((f"{user}.name", file_name), (f"{user}.domain", _domain))
    return (("reg_value.name", file_name),) if path == "reg_value.path" else ()


def _derived_of_file(file: str) -> tuple[Derived, ...]:
    of_file: tuple[Derived, ...] = ((f"{file}.name", file_name), (f"{file}.type_id", _regular))
    process = file.removesuffix(".file")
    return (*of_file, (f"{process}.name", file_name)) if attribute(f"{process}.name") else of_file


@lru_cache(maxsize=4096)
def file_name(path: str) -> str:
    """What follows the last backslash, or slash."""
    return path[max(path.rfind("\\"), path.rfind("/")) + 1 :] or path


def _regular(_: str) -> int:
    return 1


def _domain(user: str) -> str | None:
    return user.partition("\\")[0] if "\\" in user else None


def _text(value: Json) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else msgspec.json.encode(value).decode()


def _filled(value: Json) -> str | None:
    return _text(value) or None


def _named(value: Json) -> str | None:
    """A text that Windows may write as a dash."""
    text = _text(value)
    return None if text in _NONE else text


def _number(value: Json) -> int | None:
    if isinstance(value, int):
        return int(value)
    try:
        number = int(str(value), 0)
    except ValueError:
        return None
    return number if -_LARGEST <= number <= _LARGEST else None


def _port(value: Json) -> int | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= 0xFFFF else None  # noqa: PLR2004 -- the largest port


def _address(value: Json) -> str | None:
    text = str(value)
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else text


def _hashes(value: Json) -> str | None:
    pairs = [part.partition("=") for part in str(value).split(",") if "=" in part]
    found = [
        {"algorithm": _NAMES.get(name, name), "algorithm_id": _ALGORITHMS.get(name, _OTHER), "value": digest}
        for name, _, digest in pairs
        if digest
    ]
    return msgspec.json.encode(found).decode() if found else None


def _answers(value: Json) -> str | None:
    """The answers of a DNS query as Sysmon writes them: `type:  5 a.example;::ffff:192.0.2.1;`."""
    parts = [part.strip() for part in str(value).split(";")]
    found = [{"rdata": part.split()[-1].removeprefix("::ffff:")} for part in parts if part and part != "-"]
    return msgspec.json.encode(found).decode() if found else None


def _command(value: Json) -> str | None:
    """What a scheduled task runs, out of the task's XML."""
    found = dict(_COMMAND.findall(str(value)))
    return " ".join(found[key] for key in ("Command", "Arguments") if key in found) or None


def _listed(table: dict[str, int]) -> Convert:
    return lambda value: table.get(str(value).lower())


def _logon_type(value: Json) -> int | None:
    number = _number(value)
    return None if number is None else _LOGON_TYPES.get(number, _OTHER)


def _is_remote(value: Json) -> bool | None:
    number = _number(value)
    return None if number is None else number in _REMOTE


def _auth_protocol(value: Json) -> int | None:
    return None if _named(value) is None else _PROTOCOLS.get(str(value).lower(), _OTHER)


_SPECIAL: Final[dict[str, Convert]] = {
    "is_remote": _is_remote,
    "logon_type_id": _logon_type,
    "auth_protocol_id": _auth_protocol,
    "auth_protocol": _named,
    "service.name": _named,
    "answers": _answers,
    "job.cmd_line": _command,
    "connection_info.direction_id": _listed(_DIRECTIONS),
    "process.integrity_id": _listed(_INTEGRITY),
    "win_service.service_start_type_id": _listed(_START_TYPES),
}
_BY_END: Final[tuple[tuple[str, Convert], ...]] = (
    ("file.path", _filled),
    (".display_name", _filled),
    ("_endpoint.ip", _address),
    ("_endpoint.port", _port),
    ("_endpoint.svc_name", _named),
    ("file.hashes", _hashes),
    ("user.name", _named),
    ("user.uid", _named),
    ("user.domain", _named),
    ("session.uid", _named),
)
