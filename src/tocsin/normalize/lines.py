"""Sources whose events are JSON objects: one a line, or many in one value."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, Json, RefusedLine, Value

__all__ = ["address", "epoch_ms", "pick", "read_json_lines", "text"]

_MAX_DOCUMENT = 256 << 20  # bytes that are held at most to find out whether they are one JSON value
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Object = dict[str, Json]
Unwrap = Callable[[Object], Json]  # what a wrapper holds, None if the object is no wrapper
# msgspec cannot take the recursive alias; what JSON can hold is what Json says.
_decode = cast("Callable[[bytes], Json]", msgspec.json.Decoder(Any).decode)
_check = msgspec.json.Decoder(msgspec.Raw).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_json_lines(
    lines: Iterable[bytes], normalize: Callable[[Object], Event], unwrap: Unwrap = lambda _: None
) -> Iterator[Event | RefusedLine]:
    """Events of every line that can be read, and what is wrong with every line that cannot; blank lines are skipped.

    A line may hold an array, or a wrapper that `unwrap` opens. Input that is one JSON value over many lines is read as
    if it were one line.
    """
    for number, line in _documents(lines):
        try:
            value = _decode(line)
        except _UNREADABLE as error:
            yield RefusedLine(number, str(error), bytes(line))
            continue
        for item in _items(value, unwrap):
            try:
                yield normalize(_opened(item, unwrap))
            except (*_UNREADABLE, InvalidEvent) as error:
                yield RefusedLine(number, str(error), bytes(line) if item is value else msgspec.json.encode(item))


def _documents(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each line with its number; or all of them as one, if only together they are a JSON value."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    for number, first in numbered:
        begin = first.removeprefix(_BYTE_ORDER_MARK)
        if begin.lstrip()[:1] not in (b"{", b"[") or _is_json(begin):
            yield number, begin
            break
        held, size = [(number, begin)], len(begin)
        while size <= _MAX_DOCUMENT and (more := next(numbered, None)):
            held.append(more)
            size += len(more[1])
        whole = b"\n".join(line for _, line in held)
        yield from [(number, whole)] if size <= _MAX_DOCUMENT and _is_json(whole) else held
        break
    yield from numbered


def _is_json(text: bytes) -> bool:
    try:
        _check(text)
    except _UNREADABLE:
        return False
    return True


def _items(value: Json, unwrap: Unwrap) -> Iterator[Json]:
    """The members of an array or of a wrapper, which may lie in an array again; else the value itself."""
    for one in value if isinstance(value, list) else [value]:
        inner = _inner(one, unwrap)
        if isinstance(inner, list):
            yield from inner
        else:
            yield one


def _inner(one: Json, unwrap: Unwrap) -> Json:
    try:
        return unwrap(one) if isinstance(one, dict) else None
    except _UNREADABLE:  # said when the object itself is read
        return None


def _opened(item: Json, unwrap: Unwrap) -> Object:
    """The object itself, out of a wrapper that holds it alone."""
    inner = unwrap(item) if isinstance(item, dict) else None
    found = item if inner is None else inner
    if not isinstance(found, dict):
        raise InvalidEvent("an event must be a JSON object")
    return found


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
