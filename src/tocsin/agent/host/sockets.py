"""Sockets of this network namespace that are listened on, as the kernel lists them; and the one that a process names.

The kernel lists listening sockets alone, so that a host with many connections costs no more.

Source: sock_diag(7), linux/inet_diag.h.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from tocsin.model.event import Event, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PROTOCOLS", "listening_sockets", "with_address"]

NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLM_F_REQUEST_DUMP: Final = 0x301
ANSWER_TIMEOUT_S: Final = 1.0
LARGEST_ANSWER: Final = 1 << 16
LISTENS, UNCONNECTED = 1 << 10, 1 << 7  # states, as bits: TCP's LISTEN, and UDP's only one before a connect
PROTOCOLS: Final = {"tcp": (socket.IPPROTO_TCP, LISTENS), "udp": (socket.IPPROTO_UDP, UNCONNECTED)}
NETWORK_ACTIVITY, OCSF_LISTEN, INBOUND = 4001, 7, 1
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBBBI48s")
# family, state, timer, retransmits; ports; addresses; interface, cookie; expires, queues, user, inode
_ANSWER: Final = struct.Struct("=4x2s2x16s16x12x12xII")

Listening = tuple[str, str, int, int]  # protocol, address, port, inode


def listening_sockets() -> list[Listening]:
    """The sockets that listen; of several that share a port, the first."""
    return sorted({each[:3]: each for protocol in PROTOCOLS for each in _of(protocol)}.values())


def with_address(event: Event) -> Event:
    """The event of a `listen`, which names a descriptor only, with the address; as it is if that cannot be had.

    It cannot of a process that has ended, of a Unix socket, and of another network namespace's.
    """
    inode = _inode(event)
    found = next((each for each in _of("tcp") if each[3] == inode), None) if inode else None
    if found is None:
        return event
    protocol, address, port, _ = found
    values: dict[str, Value] = {
        "activity_id": OCSF_LISTEN,
        "dst_endpoint.ip": address,
        "dst_endpoint.port": port,
        "connection_info.direction_id": INBOUND,
        "connection_info.protocol_name": protocol,
        "connection_info.protocol_num": int(PROTOCOLS[protocol][0]),
    }
    return Event(NETWORK_ACTIVITY, event.values | values, event.records, event.shared)


def _inode(event: Event) -> int:
    """The number of the socket behind the descriptor that was passed; 0 if it is none, or gone."""
    call = next((record for record in event.records if record.type == "SYSCALL"), None)
    argument = dict(zip(call.keys, call.values, strict=True)).get("a0", "") if call else ""
    try:
        link = f"/proc/{event.attributes()['actor.process.pid']}/fd/{int(argument, 16)}"
        target = os.readlink(link)  # noqa: PTH115 - Path costs four times as much
    except (OSError, ValueError, KeyError):
        return 0
    number = target.removeprefix("socket:[").removesuffix("]")
    return int(number) if number.isdecimal() else 0


def _of(protocol: str) -> Iterator[Listening]:
    for family in (socket.AF_INET, socket.AF_INET6):
        yield from _dump(protocol, family)


def _dump(protocol: str, family: socket.AddressFamily) -> Iterator[Listening]:
    number, states = PROTOCOLS[protocol]
    body = _REQUEST.pack(family, number, 0, 0, states, bytes(48))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as sock:
        sock.settimeout(ANSWER_TIMEOUT_S)
        sock.send(_HEADER.pack(_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 0, 0) + body)
        while True:
            datagram, at = sock.recv(LARGEST_ANSWER), 0
            while at < len(datagram):
                length, kind, *_ = _HEADER.unpack_from(datagram, at)
                if kind != SOCK_DIAG_BY_FAMILY:  # done, or refused
                    return
                port, address, _, inode = _ANSWER.unpack_from(datagram, at + _HEADER.size)
                size = 4 if family == socket.AF_INET else 16
                yield protocol, socket.inet_ntop(family, address[:size]), int.from_bytes(port, "big"), inode
                at += (length + 3) & ~3
