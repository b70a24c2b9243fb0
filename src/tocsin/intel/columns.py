"""Which attributes of events hold what indicators name; derived from the schema."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from tocsin.intel.indicator import Kind
from tocsin.model.schema import CLASSES, EventClass

__all__ = ["NAMED", "WATCHED", "Holds", "Watch"]


class Holds(enum.Enum):
    """What an attribute's text holds."""

    ADDRESS = "an address"
    NAME = "a host name"
    URL = "a URL"
    COMMAND = "a command line, which may have URLs in it"
    HASHES = "hashes, in JSON or any other text"
    FILENAME = "a file's name"
    ANSWERS = "answers of a name server, in JSON"


_OF_HOSTS: Final = frozenset({Kind.IP, Kind.CIDR, Kind.DOMAIN})
# What indicators may name of what an attribute holds: without any such, it need not be looked at.
NAMED: Final = {
    Holds.ADDRESS: frozenset({Kind.IP, Kind.CIDR}),
    Holds.NAME: _OF_HOSTS,
    Holds.URL: _OF_HOSTS | {Kind.URL},
    Holds.COMMAND: _OF_HOSTS | {Kind.URL},
    Holds.HASHES: frozenset({Kind.MD5, Kind.SHA1, Kind.SHA256}),
    Holds.FILENAME: frozenset({Kind.FILENAME}),
    Holds.ANSWERS: _OF_HOSTS,
}


class Watch(msgspec.Struct, frozen=True):
    """An attribute to look at, and how a title says that an indicator was found there."""

    path: str
    holds: Holds
    phrase: str  # with {} for the value


_PHRASES: Final = {
    (3002, "src_endpoint.ip"): "Login from {}",
    (4001, "dst_endpoint.ip"): "Connection to {}",
    (4001, "src_endpoint.ip"): "Connection from {}",
    (4003, "query.hostname"): "Query for {}",
    (4003, "answers"): "Answer with {}",
    (6003, "src_endpoint.ip"): "API call from {}",
    (1007, "process.cmd_line"): "{} in a command",
    (1007, "process.file.hashes"): "Program with hash {} run",
}
_DEFAULT: Final = {
    Holds.ADDRESS: "Address {} seen",
    Holds.NAME: "Host name {} seen",
    Holds.URL: "URL {} asked for",
    Holds.COMMAND: "{} in a command",
    Holds.HASHES: "File with hash {} seen",
    Holds.FILENAME: "File named {} seen",
    Holds.ANSWERS: "Answer with {}",
}
# Of an acting process only what it does is looked at: its own launch has been.
_LEFT_OUT: Final = ("device.", "actor.")


def _holds(path: str) -> Holds | None:
    if path.startswith(_LEFT_OUT):
        return None
    last = path.rpartition(".")[2]
    by_name = {"ip": Holds.ADDRESS, "hostname": Holds.NAME, "url_string": Holds.URL, "hashes": Holds.HASHES}
    if path == "answers":
        return Holds.ANSWERS
    if path == "process.cmd_line":
        return Holds.COMMAND
    if path in ("file.name", "file_result.name", "process.file.name", "driver.file.name", "module.file.name"):
        return Holds.FILENAME
    return by_name.get(last)


def _watched(event_class: EventClass) -> tuple[Watch, ...]:
    found = []
    for attribute in event_class.attributes:
        holds = _holds(attribute.path)
        if holds is not None:
            phrase = _PHRASES.get((event_class.uid, attribute.path), _DEFAULT[holds])
            found.append(Watch(attribute.path, holds, phrase))
    return tuple(found)


WATCHED: Final = {uid: _watched(event_class) for uid, event_class in CLASSES.items()}
