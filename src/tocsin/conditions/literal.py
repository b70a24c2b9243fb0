"""Does one text pass one test? The meaning that every evaluator must agree with, a text at a time."""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

import re2

from tocsin.conditions.time_part import time_part
from tocsin.model.condition import (
    NUMBER,
    Cidr,
    Compare,
    Exists,
    Glob,
    Number,
    Regex,
    Relation,
    Test,
    Text,
    TimePart,
    Wildcard,
    fold,
)
from tocsin.model.errors import InvalidRule

__all__ = [
    "address",
    "compile_regex",
    "compile_wildcard",
    "compiled",
    "in_network",
    "judge",
    "number",
    "parse_network",
    "passes",
    "relates",
    "satisfies",
]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_COMPARE: Final[dict[Compare, Callable[[float, float], bool]]] = {
    Compare.EQUALS: operator.eq,
    Compare.LESS: operator.lt,
    Compare.AT_MOST: operator.le,
    Compare.GREATER: operator.gt,
    Compare.AT_LEAST: operator.ge,
}
# RE2 needs time for each character of a text and, at worst, each step of a pattern: 9,607 steps took 0.7 s on 128 KiB,
# the longest argument that Linux allows. The largest of SigmaHQ's patterns has 8,005.
_LARGEST_PROGRAM: Final = 10_000
_MOST_MEMORY_BYTES: Final = 8 << 20
_GLOBS: Final = {Glob.ANY: ".*", Glob.ONE: "."}


def passes(test: Test, text: str) -> bool:
    """Does the text pass? A comparison with another field cannot be judged here: it never does."""
    match test:
        case Text(relation, value, cased):
            return relates(relation, text, value) if cased else relates(relation, fold(text), fold(value))
        case Wildcard(_, cased):
            return compile_wildcard(test)(text if cased else fold(text))
        case Regex():
            return compile_regex(test)(text)
        case Cidr(network):
            return in_network(address(text), network)
        case Number() | TimePart():
            return satisfies(test, number(text) if isinstance(test, Number) else time_part(test.unit, text))
        case _:
            return isinstance(test, Exists)


def judge(test: Test) -> Callable[[str], bool]:
    """The same as a function of the text alone, with whatever can be prepared prepared.

    Raises:
        InvalidRule: RE2 cannot read the pattern.
    """
    if isinstance(test, Regex):
        return compile_regex(test)
    return partial(passes, test)


def relates(relation: Relation, text: str, value: str) -> bool:
    """Does the text relate so to the value, character by character?"""
    match relation:
        case Relation.EQUALS:
            return text == value
        case Relation.CONTAINS:
            return value in text
        case Relation.STARTSWITH:
            return text.startswith(value)
        case Relation.ENDSWITH:
            return text.endswith(value)


def satisfies(test: Number | TimePart, found: float | None) -> bool:
    """Does the number, if it is one, compare so?"""
    return found is not None and _COMPARE[test.compare](found, float(test.value))


@lru_cache(maxsize=65_536)
def compile_wildcard(test: Wildcard) -> Callable[[str], bool]:
    """A function that says whether a text, folded unless the test is cased, is the pattern.

    Raises:
        InvalidRule: the pattern is too large.
    """
    parts = (_GLOBS[p] if isinstance(p, Glob) else re2.escape(p if test.cased else fold(p)) for p in test.parts)
    # Not Python's `re`, which takes polynomial time where many wildcards nearly fit.
    fits = compiled(f"(?s){''.join(parts)}", "a pattern of wildcards").fullmatch
    return lambda text: fits(text) is not None


@lru_cache(maxsize=65_536)
def compile_regex(test: Regex) -> Callable[[str], bool]:
    """A function that says whether RE2 finds the pattern in a text, in time linear in the text, whatever the pattern.

    Raises:
        InvalidRule: RE2 cannot read the pattern, or it is so large that every text would be slow.
    """
    search = compiled(regex_source(test), f"regular expression {test.pattern!r}").search
    return lambda text: search(text) is not None


def compiled(source: str, what: str) -> Any:  # noqa: ANN401 - re2 has no types
    """What RE2 makes of a pattern, which it does not log if it is none.

    Raises:
        InvalidRule: it cannot read the pattern, or the pattern is too large; names `what`.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY_BYTES
    try:
        program = re2.compile(source, options)
    except re2.error as error:
        raise InvalidRule(f"{what}: {_reason(error)}") from error
    if program.programsize > _LARGEST_PROGRAM:
        raise InvalidRule(f"{what} is too large: {program.programsize} steps, at most {_LARGEST_PROGRAM}")
    return program


def regex_source(test: Regex) -> str:
    """The pattern with its flags written into it, as RE2 reads them anywhere."""
    flags = "i" * test.ignore_case + "m" * test.multiline + "s" * test.dot_all
    return f"(?{flags}){test.pattern}" if flags else test.pattern


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.decode() if isinstance(reason, bytes) else str(reason)


def number(text: str) -> float | None:
    """The number that a text is, if it is one."""
    return float(text) if NUMBER.fullmatch(text) else None


def address(text: str) -> IpAddress | None:
    """The IP address that a text is, if it is one; not with a zone, nor IPv6 with dots in it."""
    if "%" in text or (":" in text and "." in text):
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@lru_cache(maxsize=65_536)
def _network(network: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(network, strict=False)


def parse_network(text: str) -> Cidr:
    """The test for a network, or for one address.

    Raises:
        ValueError: it is neither.
    """
    return Cidr(str(ipaddress.ip_network(text, strict=False)))


def in_network(found: IpAddress | None, network: str) -> bool:
    """Is it an address of that network?"""
    return found is not None and found in _network(network)
