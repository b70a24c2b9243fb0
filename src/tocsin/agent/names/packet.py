"""From a captured IP packet to the DNS messages in it, and who sent them to whom.

A message over TCP is read where it begins in a segment; the rest of a long one, in segments that follow, is not.

Source: RFC 791, 8200, 768, 9293; RFC 1035, 4.2.2.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["PORT", "TCP", "UDP", "Flow", "Packet", "read_packet"]

PORT: Final = 53
UDP, TCP = 17, 6
_IPV4_HEADER, _IPV6_HEADER, _UDP_HEADER, _TCP_HEADER = 20, 40, 8, 20
_DNS_HEADER: Final = 12


class Flow(NamedTuple):
    """Who asks whom: the server's port is 53."""

    protocol: int
    client: str
    client_port: int
    server: str
    server_port: int


class Packet(NamedTuple):
    """One packet's DNS messages."""

    flow: Flow
    from_server: bool
    messages: tuple[bytes, ...]


def read_packet(raw: bytes) -> Packet | None:
    """What a packet holds from its IP header on; None if it is no DNS, or carries no message (an ACK)."""
    if not raw:
        return None
    read = _read_ipv4(raw) if raw[0] >> 4 == 4 else _read_ipv6(raw)  # noqa: PLR2004 - the version of the protocol
    if read is None:
        return None
    protocol, source, destination, body = read
    header = _UDP_HEADER if protocol == UDP else _TCP_HEADER
    if len(body) <= header:
        return None
    source_port, destination_port = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
    payload = body[8:] if protocol == UDP else body[4 * (body[12] >> 4) :]
    messages = tuple(_of_stream(payload)) if protocol == TCP else (payload,)
    if not messages:
        return None
    asked = Flow(protocol, source, source_port, destination, destination_port)
    if destination_port == PORT:
        return Packet(asked, from_server=False, messages=messages)
    answered = Flow(protocol, destination, destination_port, source, source_port)
    return Packet(answered, from_server=True, messages=messages)


def _read_ipv4(raw: bytes) -> tuple[int, str, str, bytes] | None:
    header = 4 * (raw[0] & 0xF)
    if len(raw) < _IPV4_HEADER or header < _IPV4_HEADER or raw[9] not in {UDP, TCP}:
        return None
    end = int.from_bytes(raw[2:4], "big") or len(raw)  # 0: longer than a packet can be, gathered by the card
    source, destination = raw[12:16], raw[16:20]
    addresses = socket.inet_ntop(socket.AF_INET, source), socket.inet_ntop(socket.AF_INET, destination)
    return raw[9], *addresses, raw[header:end]


def _read_ipv6(raw: bytes) -> tuple[int, str, str, bytes] | None:
    if len(raw) < _IPV6_HEADER or raw[6] not in {UDP, TCP}:
        return None
    end = _IPV6_HEADER + int.from_bytes(raw[4:6], "big")
    source, destination = raw[8:24], raw[24:40]
    addresses = socket.inet_ntop(socket.AF_INET6, source), socket.inet_ntop(socket.AF_INET6, destination)
    return raw[6], *addresses, raw[_IPV6_HEADER : end if end > _IPV6_HEADER else None]


def _of_stream(payload: bytes) -> Iterator[bytes]:
    """The messages that begin in a segment, each behind its length; the last may be cut off."""
    at = 0
    while len(payload) - at > 2 + _DNS_HEADER:
        length = int.from_bytes(payload[at : at + 2], "big")
        if length < _DNS_HEADER:
            return
        yield payload[at + 2 : at + 2 + length]
        at += 2 + length
