"""The journal as `journalctl -o json` exports it: an object a line."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tocsin.normalize.syslog.line import Line

__all__ = ["read"]

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_FACILITIES: Final = {0: "kern", 3: "daemon", 4: "auth", 5: "syslog", 9: "cron", 10: "authpriv"}
_LARGEST: Final = 2**53


def read(text: str) -> Line | None:
    """The entry, or None if the object is none of the journal's."""
    try:
        entry = _decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return None
    stamp = _number(entry.get("_SOURCE_REALTIME_TIMESTAMP")) or _number(entry.get("__REALTIME_TIMESTAMP"))
    message = _message(entry.get("MESSAGE"))
    if stamp is None or message is None:
        return None
    program = entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or ""
    facility = _FACILITIES.get(_number(entry.get("SYSLOG_FACILITY")) or -1, "")
    pid = _number(entry.get("_PID")) or _number(entry.get("SYSLOG_PID"))
    severity = _number(entry.get("PRIORITY"))
    return Line(stamp // 1000, message, str(entry.get("_HOSTNAME") or ""), str(program), pid, facility, severity)


def _message(value: object) -> str | None:
    """The text; the journal writes what is no UTF-8 as a list of bytes."""
    if isinstance(value, str):
        return value
    try:
        return bytes(value).decode("utf-8", "backslashreplace") if isinstance(value, list) else None
    except (TypeError, ValueError):
        return None


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 and int(text) < _LARGEST else None  # noqa: PLR2004 -- digits of the largest
