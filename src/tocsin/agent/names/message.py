"""Read DNS messages, which anybody may have written: bounded in every direction, and never in a circle.

What is cut off in the middle, by the capture or by UDP, still gives its question and the answers before the cut.

Source: RFC 1035, 4.1; RFC 3596 (AAAA), 2782 (SRV), 9460 (HTTPS), 3597 (types without a name here).
"""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tocsin.model.errors import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_ANSWERS", "RCODES", "Answer", "Message", "read_message"]

MAX_ANSWERS: Final = 32
LONGEST_RDATA: Final = 512  # characters
_LONGEST_NAME, _MOST_POINTERS = 255, 16
_HEADER: Final = struct.Struct("!HHHHHH")
_QUESTION: Final = struct.Struct("!HH")
_RESOURCE: Final = struct.Struct("!HHIH")
_RESPONSE, _OPCODE, _RCODE = 0x8000, 0x7800, 0x000F
_POINTER: Final = 0xC0
_LONGEST_LABEL: Final = 63

_TYPES: Final = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    10: "NULL",
    12: "PTR",
    13: "HINFO",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    35: "NAPTR",
    39: "DNAME",
    43: "DS",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    52: "TLSA",
    64: "SVCB",
    65: "HTTPS",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
    257: "CAA",
}
_NAMES: Final = frozenset({2, 5, 12, 39})
_NAMES_BEHIND_NUMBERS: Final = {15: 1, 33: 3}  # MX, SRV: how many numbers
# OCSF's names for response codes.
RCODES: Final = {
    0: "NoError",
    1: "FormError",
    2: "ServError",
    3: "NXDomain",
    4: "NotImp",
    5: "Refused",
    6: "YXDomain",
    7: "YXRRSet",
    8: "NXRRSet",
    9: "NotAuth",
    10: "NotZone",
}


class Answer(NamedTuple):
    """One record of the answer, its data as a zone file would have it."""

    rdata: str
    type: str
    ttl: int


class Message(NamedTuple):
    """A query, or a response with what it answers; the first question alone, as no server takes more."""

    id: int
    is_response: bool
    rcode: int
    name: str
    type: str
    answers: tuple[Answer, ...] = ()


def read_message(raw: bytes) -> Message:
    """The message that begins here.

    Raises:
        InvalidRecord: it is no query and no response, or its question cannot be read.
    """
    try:
        number, flags, questions, answers, _, _ = _HEADER.unpack_from(raw)
        if flags & _OPCODE or not questions:
            raise InvalidRecord("a DNS message that asks nothing")
        name, at = _read_name(raw, _HEADER.size)
        kind = _QUESTION.unpack_from(raw, at)[0]
    except (struct.error, IndexError) as error:
        raise InvalidRecord("a DNS message whose question is cut off") from error
    response = bool(flags & _RESPONSE)
    found: tuple[Answer, ...] = ()
    if response and questions == 1:
        found = _read_answers(raw, at + _QUESTION.size, min(answers, MAX_ANSWERS))
    return Message(number, response, flags & _RCODE, name, _type_name(kind), found)


def _read_answers(raw: bytes, at: int, count: int) -> tuple[Answer, ...]:
    """Up to so many answers, as far as they can be read."""
    found: list[Answer] = []
    for _ in range(count):
        try:
            _, at = _read_name(raw, at)
            kind, _, ttl, length = _RESOURCE.unpack_from(raw, at)
            at += _RESOURCE.size
            if at + length > len(raw):
                break
            found.append(Answer(_rdata(raw, at, kind, length)[:LONGEST_RDATA], _type_name(kind), ttl))
        except (InvalidRecord, struct.error, IndexError, OSError, ValueError):
            break
        at += length
    return tuple(found)


def _rdata(raw: bytes, at: int, kind: int, length: int) -> str:
    if kind in _NAMES:
        return _read_name(raw, at)[0]
    if kind in _NAMES_BEHIND_NUMBERS:
        count = _NAMES_BEHIND_NUMBERS[kind]
        numbers = struct.unpack_from(f"!{count}H", raw, at)
        return " ".join((*map(str, numbers), _read_name(raw, at + 2 * count)[0]))
    return _DATA.get(kind, _unnamed)(raw[at : at + length])


def _unnamed(data: bytes) -> str:
    """RFC 3597."""
    return f"\\# {len(data)} {data.hex()}"


def _read_text(data: bytes) -> str:
    """The character strings of a TXT record as one text."""
    parts, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        parts.append(data[at + 1 : end])
        at = end
    return b"".join(parts).decode("utf-8", "backslashreplace")


_DATA: Final[dict[int, Callable[[bytes], str]]] = {
    1: partial(socket.inet_ntop, socket.AF_INET),
    16: _read_text,
    28: partial(socket.inet_ntop, socket.AF_INET6),
}


def _read_name(raw: bytes, at: int) -> tuple[str, int]:
    """A name in small letters without its last dot, and where what follows it begins.

    Pointers must lead backwards, each further than the one before, so no chain of them comes round.
    """
    labels: list[str] = []
    end, length, followed, earliest = -1, 0, 0, at
    while size := raw[at]:
        if size >= _POINTER:
            end = at + 2 if end < 0 else end
            at, followed = (size & ~_POINTER) << 8 | raw[at + 1], followed + 1
            if at >= earliest or followed > _MOST_POINTERS:
                raise InvalidRecord("a DNS name that points at itself")
            earliest = at
            continue
        length += size + 1
        if size > _LONGEST_LABEL or length > _LONGEST_NAME or at + size >= len(raw):
            raise InvalidRecord("a DNS name that is too long")
        labels.append(_label(raw[at + 1 : at + 1 + size]))
        at += 1 + size
    return ".".join(labels) or ".", at + 1 if end < 0 else end


def _label(raw: bytes) -> str:
    """As zone files write it: what is no printable ASCII, and the dot, as a backslash and three digits."""
    text = raw.decode("latin-1")
    if text.isascii() and text.isprintable() and "." not in text and "\\" not in text:
        return text.lower()
    return "".join(_character(byte) for byte in raw)


def _character(byte: int) -> str:
    printable = 0x20 < byte < 0x7F and byte not in b".\\"  # noqa: PLR2004 - ASCII
    return chr(byte).lower() if printable else f"\\{byte:03}"


def _type_name(number: int) -> str:
    return _TYPES.get(number) or f"TYPE{number}"
