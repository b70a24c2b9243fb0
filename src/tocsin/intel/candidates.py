"""What in an event's text could be listed: the values, in normal form, that indicators may name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

from tocsin.intel.columns import Holds
from tocsin.intel.indicator import HASH_LENGTHS, Kind
from tocsin.intel.value import domain, host_of, parents, url

__all__ = ["Candidate", "candidates", "host_form"]

Candidate = tuple[Kind, str]

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>|;`)}]+")
_HASH: Final = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32})(?![0-9A-Fa-f])")


def candidates(holds: Holds, text: str) -> Iterator[Candidate]:
    """Every value in the text that an indicator may name; domain names with all that they lie in."""
    return _READERS[holds](text)


def _of_address(text: str) -> Iterator[Candidate]:
    if text:
        yield Kind.IP, text  # read as a number, and in its normal form, where it is looked up


def _of_name(text: str) -> Iterator[Candidate]:
    name = host_form(text)
    if ":" in name or name[-1:].isdigit():
        yield Kind.IP, name
    for each in parents(name):
        yield Kind.DOMAIN, each


def host_form(text: str) -> str:
    """A host name as feeds have it; what is none stays what it is, and is listed nowhere."""
    return text.rstrip(".").lower() if text.isascii() else domain(text) or ""


def _of_url(text: str) -> Iterator[Candidate]:
    yield from _in_url(text)


@lru_cache(4096)
def _in_url(text: str) -> tuple[Candidate, ...]:
    found = url(text) if "://" in text else None
    return () if found is None else ((Kind.URL, found), *_of_name(host_of(found) or ""))


def _of_command(text: str) -> Iterator[Candidate]:
    if "://" in text:
        for found in dict.fromkeys(_URL.findall(text)):
            yield from _of_url(found)


def _of_hashes(text: str) -> Iterator[Candidate]:
    for found in dict.fromkeys(_HASH.findall(text)):
        yield HASH_LENGTHS[len(found)], found.lower()


def _of_filename(text: str) -> Iterator[Candidate]:
    if text:
        yield Kind.FILENAME, text


def _of_answers(text: str) -> Iterator[Candidate]:
    try:
        answers: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return
    for answer in answers if isinstance(answers, list) else ():
        if isinstance(answer, dict) and isinstance(answer.get("rdata"), str):
            yield from _of_name(answer["rdata"])


_READERS: Final[dict[Holds, Callable[[str], Iterator[Candidate]]]] = {
    Holds.ADDRESS: _of_address,
    Holds.NAME: _of_name,
    Holds.URL: _of_url,
    Holds.COMMAND: _of_command,
    Holds.HASHES: _of_hashes,
    Holds.FILENAME: _of_filename,
    Holds.ANSWERS: _of_answers,
}
