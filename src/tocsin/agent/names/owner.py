"""Which process holds a socket: the kernel names its inode, /proc names who has that open.

To search /proc is dear, so those that asked before come first, then the socket's user's newest processes, and there is
a limit on searches per second.

Source: sock_diag(7), linux/inet_diag.h; proc(5).
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from tocsin.agent.host import procfs
from tocsin.agent.names.packet import TCP
from tocsin.normalize.auditd.acting import process_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.agent.names.packet import Flow
    from tocsin.model.event import Value

__all__ = ["Owners"]

NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLM_F_REQUEST: Final = 1
ANSWER_TIMEOUT_S: Final = 0.2
SEARCHES_PER_S: Final = 20
MAX_FILES: Final = 4096  # of one process; one with more open is passed over
MAX_RECENT: Final = 32
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBBBI")
_SOCKET_ID: Final = struct.Struct("!HH16s16s")
_ANY_COOKIE: Final = b"\xff" * 8
LARGEST_ANSWER: Final = 4096
_PORT_AT: Final = _HEADER.size + 4
# What follows inet_diag_msg's head and socket id: expires, queues, uid, inode.
_TAIL_AT: Final = _HEADER.size + 4 + _SOCKET_ID.size + 4 + 8
_TAIL: Final = struct.Struct("=IIIII")


class Owners:
    """Looks processes up for sockets of this network namespace. `prefix` begins every process identity."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        self._recent: deque[int] = deque(maxlen=MAX_RECENT)
        self._searches, self._second = 0, 0

    def find(self, flow: Flow, now_ms: int) -> dict[str, Value]:
        """Who asks, as attributes of the acting process; empty if it is not of this host, or gone already."""
        found = self._inode(flow)
        if found is None:
            return {}
        pid = self._holder(*found, now_ms)
        return self._described(pid) if pid else {}

    def close(self) -> None:
        """Let go of the kernel."""
        self._socket.close()

    def _inode(self, flow: Flow) -> tuple[int, int] | None:
        """Inode and user of the client's socket."""
        ends = (flow.client, flow.client_port), (flow.server, flow.server_port)
        # Of UDP the kernel takes the two ends the other way round, for historical reasons.
        own, other = ends if flow.protocol == TCP else reversed(ends)
        family = socket.AF_INET6 if ":" in flow.client else socket.AF_INET
        addresses = (socket.inet_pton(family, address).ljust(16, b"\0") for address, _ in (own, other))
        body = _REQUEST.pack(family, flow.protocol, 0, 0, 0xFFFFFFFF)
        body += _SOCKET_ID.pack(own[1], other[1], *addresses) + bytes(4) + _ANY_COOKIE
        header = _HEADER.pack(_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
        try:
            self._socket.send(header + body)
            answer = self._socket.recv(LARGEST_ANSWER)
        except OSError:
            return None
        if len(answer) < _TAIL_AT + _TAIL.size or _HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
            return None
        if int.from_bytes(answer[_PORT_AT : _PORT_AT + 2], "big") != flow.client_port:
            return None  # a socket that would take anything, the server's own for one
        *_, user, inode = _TAIL.unpack_from(answer, _TAIL_AT)
        return (inode, user) if inode else None

    def _holder(self, inode: int, user: int, now_ms: int) -> int:
        link = f"socket:[{inode}]"
        for pid in tuple(self._recent):
            if _holds(pid, link):
                return pid
        if not self._may_search(now_ms // 1000):
            return 0
        for pid in _processes_of(user):
            if _holds(pid, link):
                self._recent.appendleft(pid)
                return pid
        return 0

    def _may_search(self, second: int) -> bool:
        if second != self._second:
            self._second, self._searches = second, 0
        self._searches += 1
        return self._searches <= SEARCHES_PER_S

    def _described(self, pid: int) -> dict[str, Value]:
        stat, who = procfs.read_stat(pid), procfs.read_identity(pid)
        if stat is None or who is None:
            return {}
        ids = (str(number) for number in (stat.parent_pid, who.auid, who.uid, who.euid, who.egid))
        fields = (*ids, "", str(who.session), stat.name, procfs.read_exe(pid), "")
        identity: dict[str, Value] = {
            "actor.process.pid": pid,
            "actor.process.uid": f"{self._prefix}-{pid}-{stat.start_ticks}",
        }
        return process_values("actor.process", fields) | identity


def _processes_of(user: int) -> Iterator[int]:
    """The newest first, as far as numbers tell: who asks for a name has often just been started."""
    names = os.listdir("/proc")  # noqa: PTH208 - names are enough
    for pid in sorted((int(name) for name in names if name.isdigit()), reverse=True):
        try:
            if os.stat(f"/proc/{pid}").st_uid == user:  # noqa: PTH116 - Path costs four times as much
                yield pid
        except OSError:
            continue


def _holds(pid: int, link: str) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 - Path costs four times as much
    except OSError:
        return False
    return len(names) <= MAX_FILES and any(_target(f"{folder}/{name}") == link for name in reversed(names))


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - Path costs four times as much
    except OSError:
        return ""
