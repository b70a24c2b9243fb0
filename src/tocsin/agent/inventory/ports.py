"""Ports that somebody listens on, and who.

The kernel lists listening sockets alone, so that a host with many connections costs no more.

Source: sock_diag(7), linux/inet_diag.h.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from tocsin.agent.host import procfs
from tocsin.agent.inventory.item import Item
from tocsin.model.event import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["listening_ports", "listening_sockets"]

NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLMSG_DONE: Final = 3
NLM_F_REQUEST_DUMP: Final = 0x301
ANSWER_TIMEOUT_S: Final = 1.0
LARGEST_ANSWER: Final = 1 << 16
LISTENS, UNCONNECTED = 1 << 10, 1 << 7  # states, as bits: TCP's LISTEN, and UDP's only one before a connect
OCSF_LISTEN, INBOUND, REGULAR_FILE = 10, 1, 1
UNKNOWN: Final[dict[str, Value]] = {"process.name": "unknown"}  # the kernel itself, or another namespace's
PROTOCOLS: Final = {"tcp": (socket.IPPROTO_TCP, LISTENS), "udp": (socket.IPPROTO_UDP, UNCONNECTED)}
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBBBI48s")
# family, state, timer, retransmits; ports; addresses; interface, cookie; expires, queues, user, inode
_ANSWER: Final = struct.Struct("=4x2s2x16s16x12x12xII")

Listening = tuple[str, str, int, int]  # protocol, address, port, inode


def listening_ports() -> Iterator[Item]:
    """Every port of this network namespace that is listened on, with the process that does."""
    sockets = listening_sockets()
    holders = _holders({inode for *_, inode in sockets})
    for protocol, address, port, inode in sockets:
        values: dict[str, Value] = {
            "unmapped.inventory.ip": address,
            "unmapped.inventory.port": port,
            "connection_info.protocol_name": protocol,
            "connection_info.protocol_num": int(PROTOCOLS[protocol][0]),
            "connection_info.direction_id": INBOUND,
            "state_id": OCSF_LISTEN,
        }
        pid = holders.get(inode, 0)
        yield Item("port", f"{protocol}:{address}:{port}", values | (_described(pid) or UNKNOWN))


def listening_sockets() -> list[Listening]:
    """The sockets that listen; of several that share a port, the first."""
    found = {
        each[:3]: each
        for protocol in PROTOCOLS
        for family in (socket.AF_INET, socket.AF_INET6)
        for each in _dump(protocol, family)
    }
    return sorted(found.values())


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


def _holders(inodes: set[int]) -> dict[int, int]:
    """Of sockets' inodes, the process that has each open; the oldest, if several have."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    holders: dict[int, int] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):  # noqa: PTH208 - names are enough
        for target in _open_files(pid):
            if target in wanted:
                holders.setdefault(wanted[target], pid)
    return holders


def _open_files(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 - Path costs four times as much
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")  # noqa: PTH115 - Path costs four times as much
        except OSError:
            continue


def _described(pid: int) -> dict[str, Value]:
    stat = procfs.read_stat(pid) if pid else None
    if stat is None:
        return {}
    exe = procfs.read_exe(pid)
    described: dict[str, Value] = {"process.pid": pid, "process.name": stat.name}
    if exe:
        name = exe.rpartition("/")[2]
        described |= {"process.file.path": exe, "process.file.name": name, "process.file.type_id": REGULAR_FILE}
    return described
