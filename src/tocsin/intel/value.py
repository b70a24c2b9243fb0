"""One normal form per kind of indicator, for what feeds list and for what events hold alike.

Defanged forms (`hxxp://`, `[.]`) are accepted. Host names are lower case, in IDNA's ASCII form, without a last dot;
addresses in their shortest form; hashes in lower case. A URL has scheme and host in lower case, no user, no default
port, no fragment, `/` where the path is empty, and `http` where no scheme is written; path and query stay as they are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

import idna

from tocsin.intel.address import FULL, IPV4_BITS, network, network_text
from tocsin.intel.indicator import HASH_LENGTHS, Kind

__all__ = ["domain", "guess", "host_of", "normal", "parents", "refang"]

_DEFANGED: Final = (
    (re.compile(r"\s*[\[({]\s*(?:\.|dot)\s*[\])}]\s*", re.IGNORECASE), "."),
    (re.compile(r"[\[({]\s*(?:@|at)\s*[\])}]", re.IGNORECASE), "@"),
    (re.compile(r"\[(:|://|/)\]"), r"\1"),
    (re.compile(r"^(h)(?:xx|tt|\*\*)p(s?)(?::|\[:\])?(?=//|\[//\])", re.IGNORECASE), r"\1ttp\2:"),
    (re.compile(r"^fxp(?=://)", re.IGNORECASE), "ftp"),
    (re.compile(r"\\\."), "."),
)
_LABELS: Final = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]+")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ftp": 21}
# A feed that lists more than this lists a good part of the internet, most likely by mistake.
_SHORTEST_IPV4, _SHORTEST_IPV6 = IPV4_BITS + 8, 16


def refang(text: str) -> str:
    """The text as it was before somebody made it harmless to click on."""
    text = text.strip()
    if "[" in text or "(" in text or "{" in text or "\\" in text or text[:3].lower() in ("hxx", "h**", "fxp"):
        for pattern, plain in _DEFANGED:
            text = pattern.sub(plain, text)
    return text


def normal(kind: Kind, text: str) -> tuple[Kind, str]:
    """An indicator's normal form; a network of one address becomes an address, and the other way round.

    Raises:
        ValueError: says what is wrong.
    """
    text = refang(text)
    match kind:
        case Kind.IP | Kind.CIDR:
            return _address(text)
        case Kind.DOMAIN:
            return kind, _required(domain(text), text, "a domain name")
        case Kind.URL:
            return kind, _required(url(text), text, "a URL")
        case Kind.MD5 | Kind.SHA1 | Kind.SHA256:
            if not _HEX.fullmatch(text) or HASH_LENGTHS.get(len(text)) is not kind:
                raise ValueError(f"{_shown(text)} is no {kind.value} hash")
            return kind, text.lower()
        case Kind.EMAIL:
            return kind, _required(email(text), text, "an email address")
        case _:
            return kind, _required(text if "\0" not in text else "", text, "a file name")


def _required(found: str | None, text: str, what: str) -> str:
    if not found:
        raise ValueError(f"{_shown(text)} is not {what}")
    return found


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")  # noqa: PLR2004 -- a line of a terminal


def _address(text: str) -> tuple[Kind, str]:
    found = network(text)
    if found is None:
        raise ValueError(f"{_shown(text)} is no IP address or network")
    first, length = found
    shortest = _SHORTEST_IPV4 if first.startswith(bytes(10) + b"\xff\xff") else _SHORTEST_IPV6
    if length < shortest:
        raise ValueError(f"{_shown(text)} covers too much of the internet to say anything")
    return (Kind.IP if length == FULL else Kind.CIDR), network_text(first, length)


def guess(text: str) -> tuple[Kind, str]:
    """The kind and normal form of a value that nothing is known about.

    Raises:
        ValueError: it looks like nothing known.
    """
    text = refang(text)
    if network(text) is not None:
        return _address(text)
    if _HEX.fullmatch(text) and len(text) in HASH_LENGTHS:
        return HASH_LENGTHS[len(text)], text.lower()
    if "/" in text or ":" in text:
        return normal(Kind.URL, text)
    if "@" in text:
        return normal(Kind.EMAIL, text)
    found = domain(text)
    if found is None:
        raise ValueError(f"{_shown(text)} is no address, network, domain name, URL, hash or email address")
    return Kind.DOMAIN, found


def domain(text: str) -> str | None:
    """A domain name of at least two labels in its normal form, None if it is none; `*.` in front is left out."""
    text = text.removeprefix("*.").rstrip(".").lower()
    if not text.isascii():
        text = _to_ascii(text) or ""
    return text if _LABELS.fullmatch(text) else None


@lru_cache(4096)
def _to_ascii(text: str) -> str | None:
    try:
        return idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        return None


def url(text: str) -> str | None:
    """A URL in its normal form, None if it has no host."""
    if not _SCHEME.match(text.lower()):
        text = f"http://{text.removeprefix('//')}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    host = _host(parts)
    if host is None:
        return None
    shown = f"[{host}]" if ":" in host else host
    shown += f":{port}" if port is not None and port != _DEFAULT_PORTS.get(parts.scheme) else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{shown}{parts.path or '/'}{query}"


def host_of(url: str) -> str | None:
    """The domain name or address in a URL in normal form."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _host(parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    found = network(host) if "/" not in host else None
    return domain(host) if found is None else network_text(*found)


def email(text: str) -> str | None:
    """An email address in lower case, its domain in normal form."""
    if not _EMAIL.fullmatch(text):
        return None
    name, _, host = text.rpartition("@")
    at = domain(host)
    return f"{name.lower()}@{at}" if at else None


def parents(name: str) -> list[str]:
    """A domain name and those that it lies in, the longest first; the last label alone is left out."""
    found = [name] if "." in name else []
    dot = name.find(".")
    while (following := name.find(".", dot + 1)) >= 0:
        found.append(name[dot + 1 :])
        dot = following
    return found
