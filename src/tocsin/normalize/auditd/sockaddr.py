"""Read the socket addresses that audit prints in hex, laid out as the kernel's struct sockaddr_*.

Source: unix(7), ip(7), ipv6(7), netlink(7), packet(7), vsock(7); linux/socket.h.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from typing import Final

__all__ = ["canonical_ip", "decode_sockaddr", "family_name"]

_UNIX, _IPV4, _IPV6 = 1, 2, 10
_FAMILIES: Final = {_UNIX: "unix", _IPV4: "ipv4", _IPV6: "ipv6", 16: "netlink", 17: "packet", 38: "alg", 40: "vsock"}
_MAPPED: Final = "::ffff:"  # an IPv4 address as an IPv6 socket has it
_IPV4_SIZE, _IPV6_SIZE = 8, 24


@lru_cache(maxsize=1024)
def _decode(saddr: str) -> tuple[tuple[str, str], ...]:
    try:
        raw = bytes.fromhex(saddr)
    except ValueError:
        return (("saddr", saddr),)
    number = int.from_bytes(raw[:2], "little")
    family = _FAMILIES.get(number, str(number))
    if number == _IPV4 and len(raw) >= _IPV4_SIZE:
        return ("family", family), ("addr", socket.inet_ntop(socket.AF_INET, raw[4:8])), ("port", _port(raw))
    if number == _IPV6 and len(raw) >= _IPV6_SIZE:
        return ("family", family), ("addr", _ipv6(raw[8:24])), ("port", _port(raw))
    if number == _UNIX:
        return ("family", family), ("path", _unix_path(raw[2:]))
    return ("family", family), ("saddr", saddr)


def decode_sockaddr(saddr: str) -> dict[str, str]:
    """`family`, then `addr` and `port`, or `path`; what has no reading here keeps its hex as `saddr`.

    The name of an abstract Unix socket begins with @, as in /proc/net/unix.
    """
    return dict(_decode(saddr))


@lru_cache(maxsize=1024)
def canonical_ip(text: str) -> str:
    """An IP address in its usual form, an IPv4 one as such; empty if it is none."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return _unmapped(socket.inet_ntop(family, socket.inet_pton(family, text)))
    except (OSError, ValueError):
        return ""


def family_name(number: str) -> str:
    """Name of an address family that a call's argument gives in hex; the number itself if it has none here."""
    try:
        return _FAMILIES.get(int(number, 16), str(int(number, 16)))
    except ValueError:
        return "unknown"


def _port(raw: bytes) -> str:
    return str(int.from_bytes(raw[2:4], "big"))


def _ipv6(raw: bytes) -> str:
    return _unmapped(socket.inet_ntop(socket.AF_INET6, raw))


def _unmapped(address: str) -> str:
    mapped = address.removeprefix(_MAPPED)
    return address if ":" in mapped else mapped


def _unix_path(raw: bytes) -> str:
    """The name without what the caller's stack held behind it."""
    if raw[:1] == b"\0":
        # An abstract name may hold NULs and is as long as the caller said, which audit does not print.
        name = raw[1:].split(b"\0", 1)[0]
        return "@" + name.decode("utf-8", "backslashreplace") if name else ""
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
