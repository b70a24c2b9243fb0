"""Sources whose events are one JSON object a line."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, Json, RefusedLine, Value

__all__ = ["address", "epoch_ms", "pick", "read_json_lines", "text"]

Object = dict[str, Json]
# msgspec cannot take the recursive alias; what JSON can hold is what Json says.
_decode = cast("Callable[[bytes], Object]", msgspec.json.Decoder(dict[str, Any]).decode)


def read_json_lines(
    lines: Iterable[bytes], normalize: Callable[[Object], Iterable[Event]]
) -> Iterator[Event | RefusedLine]:
    """Events of every line that can be read, and what is wrong with every line that cannot; blank lines are skipped."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield from normalize(_decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, InvalidEvent) as error:
            yield RefusedLine(number, str(error), bytes(line))


def pick(nested: Json, path: str) -> Json:
    """The value at a dotted path, or None where the path leads nowhere."""
    for key in path.split("."):
        if not isinstance(nested, dict):
            return None
        nested = nested.get(key)
    return nested


def text(values: dict[str, Value], path: str, value: Json) -> None:
    """Set an attribute to a text, if there is one."""
    if isinstance(value, str) and value:
        values[path] = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        values[path] = str(value)


def address(values: dict[str, Value], endpoint: str, caller: Json) -> None:
    """Set an endpoint's IP address, or its service name where the caller is no address."""
    if not isinstance(caller, str) or not caller:
        return
    try:
        ipaddress.ip_address(caller)
    except ValueError:
        values[f"{endpoint}.svc_name"] = caller
    else:
        values[f"{endpoint}.ip"] = caller


def epoch_ms(stamp: Json, name: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time.

    Raises:
        InvalidEvent: it is not one; names the attribute.
    """
    if not isinstance(stamp, str):
        raise InvalidEvent(f"{name} is missing")
    try:
        moment = dt.datetime.fromisoformat(stamp)
    except ValueError as error:
        raise InvalidEvent(f"{name} is not a time: {stamp!r}") from error
    return int(moment.replace(tzinfo=moment.tzinfo or dt.UTC).timestamp() * 1000)
