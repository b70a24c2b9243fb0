"""Logs of web servers: access logs in the common and combined formats, and the error logs of Apache and nginx."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from functools import lru_cache
from typing import Final

from tocsin.model.event import Event, Value
from tocsin.normalize.syslog.line import LineReader

__all__ = ["read"]

_QUOTED: Final = r'"(?P<{}>(?:[^"\\]|\\.)*)"'
_ACCESS: Final = re.compile(
    r"(?:(?P<vhost>[\w.-]+)(?::\d{1,5})? )?(?P<client>[^\s\"\[]+) (?P<ident>\S+) (?P<user>[^\[\"]*?) "
    r"\[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    + _QUOTED.format("request")
    + r" (?P<status>\d{3}) (?P<size>\d{1,18}|-)(?: "
    + _QUOTED.format("referrer")
    + " "
    + _QUOTED.format("agent")
    + ")?"
)
_APACHE_ERROR: Final = re.compile(
    r"\[[A-Z][a-z]{2} (?P<time>[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? \d{4})\] "
    r"\[(?P<level>[^\]]+)\] (?P<text>.*)",
    re.DOTALL,
)
_NGINX_ERROR: Final = re.compile(
    r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>[a-z]+)\] (?P<pid>\d{1,10})#\d+: (?P<text>.*)", re.DOTALL
)
_PID: Final = re.compile(r"\[pid (\d{1,10})")
_METHODS: Final = {
    "CONNECT": 1,
    "DELETE": 2,
    "GET": 3,
    "HEAD": 4,
    "OPTIONS": 5,
    "POST": 6,
    "PUT": 7,
    "TRACE": 8,
    "PATCH": 9,
}
_HTTP_ACTIVITY, _BASE_EVENT, _OTHER, _FIRST_ERROR = 4002, 0, 99, 400
_MISSING: Final = frozenset({"-", ""})


def read(text: str, reader: LineReader) -> Event | None:
    """The event of a web server's line, or None if it is none."""
    if found := _ACCESS.match(text):
        return _access(found)
    if found := _NGINX_ERROR.match(text):
        date, clock = found["time"].split()
        time = reader.iso_ms(f"{date.replace('/', '-')}T{clock}")
        return None if time is None else _error(time, "nginx", found["level"], found["text"], found["pid"])
    if found := _APACHE_ERROR.match(text):
        time = _apache_ms(found["time"], reader)
        pid = _PID.search(found["text"])
        return None if time is None else _error(time, "apache", found["level"], found["text"], pid[1] if pid else "")
    return None


def _access(found: re.Match[str]) -> Event | None:
    time = _access_ms(found["time"])
    if time is None:
        return None
    request, referrer, agent = (_unescaped(found[part]) for part in ("request", "referrer", "agent"))
    status = int(found["status"])
    values: dict[str, Value] = {
        "time": time,
        "severity_id": 1,
        "status_id": 2 if status >= _FIRST_ERROR else 1,
        "metadata.log_name": "access-log",
        "device.hostname": found["vhost"] or "unknown",
        "device.type_id": 0,
        "http_response.code": status,
        "message": found[0],
    }
    texts = {
        "http_request.url.hostname": found["vhost"] or "",
        "http_request.referrer": referrer,
        "http_request.user_agent": agent,
        "actor.user.name": found["user"],
    }
    values |= {path: text for path, text in texts.items() if text not in _MISSING}
    if found["size"] != "-":
        values["http_response.length"] = int(found["size"])
    _caller(values, found["client"])
    values["activity_id"] = _request(values, request)
    return Event(_HTTP_ACTIVITY, values)


def _request(values: dict[str, Value], request: str) -> int:
    """Fill in what was asked for; the activity."""
    method, _, rest = request.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not target:
        target, version = rest, ""
    if method not in _METHODS:  # scanners send whatever they like
        values["http_request.url.url_string"] = request
        return _OTHER
    path, _, query = target.partition("?")
    texts = {
        "http_request.http_method": method,
        "http_request.url.url_string": target,
        "http_request.url.path": path,
        "http_request.url.query_string": query,
        "http_request.version": version.removeprefix("HTTP/"),
    }
    values |= {where: text for where, text in texts.items() if text}
    return _METHODS[method]


def _caller(values: dict[str, Value], client: str) -> None:
    try:
        ipaddress.ip_address(client)
    except ValueError:
        values["src_endpoint.hostname"] = client
    else:
        values["src_endpoint.ip"] = client


def _unescaped(text: str | None) -> str:
    return "" if text is None else text.replace('\\"', '"')


def _error(time: int, server: str, level: str, text: str, pid: str) -> Event:
    values: dict[str, Value] = {
        "time": time,
        "activity_id": _OTHER,
        "severity_id": 1,
        "message": text,
        "metadata.log_name": "syslog",
        "metadata.log_provider": server,
        "metadata.log_level": level,
        "device.hostname": "unknown",
        "device.type_id": 0,
    }
    if pid:
        values["actor.process.name"], values["actor.process.pid"] = server, int(pid)
    return Event(_BASE_EVENT, values)


@lru_cache(maxsize=1024)
def _access_ms(text: str) -> int | None:
    try:
        return int(dt.datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _apache_ms(text: str, reader: LineReader) -> int | None:
    form = "%b %d %H:%M:%S.%f %Y" if "." in text else "%b %d %H:%M:%S %Y"
    try:
        moment = dt.datetime.strptime(text, form)  # noqa: DTZ007 -- the reader knows the zone
    except ValueError:
        return None
    return reader.iso_ms(moment.isoformat())
