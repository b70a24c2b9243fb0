"""IP addresses and networks as numbers: every address is an IPv6 one, IPv4 as `::ffff:a.b.c.d`.

So one table of prefixes holds both, and an IPv4 address written the IPv6 way is the same address.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "FULL",
    "IPV4_BITS",
    "Numbers",
    "ipv4_numbers",
    "network",
    "network_text",
    "numbers",
    "packed",
    "prefix_keys",
    "prefix_keys_of",
    "reserved",
]

Numbers = npt.NDArray[np.uint64]

FULL = 128
IPV4_BITS = 96  # prefix length of all that is IPv4
_MAPPED = bytes(10) + b"\xff\xff"
# Drawn once per process: whoever writes a feed or makes traffic cannot aim at collisions.
_SEED = np.frombuffer(np.random.default_rng().bytes(8), np.uint64)[0]
_inet_pton, _INET = socket.inet_pton, socket.AF_INET
_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def packed(text: str) -> bytes | None:
    """The 16 bytes of an address; None if the text is none. Zones (`fe80::1%eth0`) are not addresses."""
    try:
        return _MAPPED + socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        pass
    try:
        return socket.inet_pton(socket.AF_INET6, text) if "%" not in text else None
    except (OSError, ValueError):
        return None


def network(text: str) -> tuple[bytes, int] | None:
    """The first address of a network, or the address itself, and the prefix length out of 128; None if it is neither.

    Bits below the prefix do not matter: 10.1.2.3/8 is 10.0.0.0/8.
    """
    address, slash, length = text.partition("/")
    number = packed(address)
    if number is None or (slash and not (length.isascii() and length.isdigit())):
        return None
    bits = int(length or FULL) + (IPV4_BITS if "." in address and ":" not in address and slash else 0)
    if bits > FULL:
        return None
    kept = int.from_bytes(number, "big") >> (FULL - bits) << (FULL - bits)
    return kept.to_bytes(16, "big"), bits


def network_text(first: bytes, length: int) -> str:
    """How a network is written, shortest form; an address without its prefix length."""
    if first.startswith(_MAPPED) and length >= IPV4_BITS:
        address: str = socket.inet_ntop(socket.AF_INET, first[12:])
        return address if length == FULL else f"{address}/{length - IPV4_BITS}"
    address = str(ipaddress.IPv6Address(first))
    return address if length == FULL else f"{address}/{length}"


def numbers(addresses: Sequence[bytes]) -> tuple[Numbers, Numbers]:
    """The upper and the lower half of each address."""
    # frombuffer refuses nothing at all.
    halves = np.frombuffer(b"".join(addresses) or bytes(16), ">u8").astype(np.uint64).reshape(-1, 2)
    halves = halves[: len(addresses)]
    return halves[:, 0], halves[:, 1]


def ipv4_numbers(texts: Sequence[str]) -> tuple[Numbers, Numbers] | None:
    """The halves of addresses that are all IPv4, in a fraction of the time that others take; None if one is not."""
    try:
        addresses = b"".join([_inet_pton(_INET, text) for text in texts])
    except (OSError, ValueError):
        return None
    lower = np.frombuffer(addresses, ">u4").astype(np.uint64) | np.uint64(0xFFFF << 32)
    return np.zeros(len(texts), np.uint64), lower


def prefix_keys(addresses: Sequence[bytes], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A key for each address cut to its prefix; equal prefixes have equal keys, others hardly ever."""
    upper, lower = numbers(addresses)
    return prefix_keys_of(upper, lower, lengths)


def prefix_keys_of(upper: Numbers, lower: Numbers, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The same from halves; the three are broadcast, so that many lengths are done at once."""
    # Most addresses are IPv4: what their upper halves become is the same for all.
    same = len(upper) > 1 and bool((upper == upper[:1]).all())
    first = upper[:1] if same else upper
    salted = _mixed((first & _mask(lengths)) ^ _SEED ^ (lengths.astype(np.uint64) << np.uint64(56)))
    keys: npt.NDArray[np.int64] = _mixed(salted ^ (lower & _mask(lengths - 64))).view(np.int64)
    return keys


def _mask(bits: npt.NDArray[np.int64]) -> Numbers:
    """The first so many of 64 bits."""
    kept = np.clip(bits, 0, 64)
    # Shifting by all 64 bits is not defined.
    return np.where(kept == 0, np.uint64(0), _ONES << np.minimum(64 - kept, 63).astype(np.uint64))


def _mixed(numbers: Numbers) -> Numbers:
    """splitmix64: every bit of a number reaches every bit of the result."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return numbers ^ (numbers >> np.uint64(31))


def reserved(text: str) -> bool:
    """Whether the address cannot be somebody else's on the internet: private, loopback, link-local, multicast, ..."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return not address.is_global or address.is_multicast
