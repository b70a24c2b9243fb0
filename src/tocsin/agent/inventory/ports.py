"""Ports that somebody listens on, and who."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tocsin.agent.host import procfs
from tocsin.agent.host.sockets import PROTOCOLS, listening_sockets
from tocsin.agent.inventory.item import Item
from tocsin.model.event import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["listening_ports"]

OCSF_LISTEN, INBOUND, REGULAR_FILE = 10, 1, 1
# The kernel itself, or one of another namespace: the class must name a process, and a process its id.
UNKNOWN: Final[dict[str, Value]] = {"process.name": "unknown", "process.pid": 0}


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
