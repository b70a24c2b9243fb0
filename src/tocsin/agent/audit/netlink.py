"""Receive audit records from the kernel, as its audit daemon or beside one.

The receiver's socket is the one that the kernel knows as the audit daemon's, so only it can announce itself; everything
else is asked and set through `control.AuditControl`.

Source: linux/audit.h, netlink(7), recvmmsg(2).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tocsin.model.errors import NotAllowed, TryLater

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AuditReceiver", "Coalesce", "KernelRefused", "Record", "SocketOwned", "open_audit_socket", "request"]

Record = tuple[int, bytes]
"""One audit record: its type number and its text as the kernel wrote it, without any header."""

NETLINK_AUDIT: Final = 9
READLOG_GROUPS: Final = 1  # AUDIT_NLGRP_READLOG as a bind mask
SO_ATTACH_FILTER: Final = 26
SO_RCVBUFFORCE: Final = 33

NLMSG_ERROR: Final = 2
NLM_F_REQUEST: Final = 0x1
NLM_F_ACK: Final = 0x4
AUDIT_SET: Final = 1001
AUDIT_STATUS_PID: Final = 4

HEADER = struct.Struct("=IHHII")
ERROR_CODE = struct.Struct("=i")
LARGEST_RECORD: Final = 9216  # MAX_AUDIT_MESSAGE_LENGTH is 8970
ANSWER_TIMEOUT_S: Final = 5.0
BUSY_RECORDS: Final = 16  # after one wait


class SocketOwned(TryLater):
    """Another audit daemon owns the kernel's audit socket."""


class KernelRefused(TryLater):
    """The kernel refused an audit request; `errno` says why."""

    def __init__(self, attempt: str, code: int) -> None:
        super().__init__(f"the kernel refused to {attempt}: {os.strerror(code)}")
        self.errno = code


def open_audit_socket(groups: int = 0, drop_types: Iterable[int] = (), buffer_bytes: int = 0) -> socket.socket:
    """Open a netlink audit socket, joined to the multicast `groups`; filter and buffer are there before that.

    Raises:
        NotAllowed: the process lacks CAP_AUDIT_CONTROL or CAP_AUDIT_READ, or is in a container.
    """
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT)
        _drop_in_kernel(sock, sorted(drop_types))
        if buffer_bytes:
            _set_receive_buffer(sock, buffer_bytes)
        sock.bind((0, groups))
    except PermissionError as error:
        raise NotAllowed(f"the kernel's audit socket needs root: {error.strerror}") from error
    sock.settimeout(ANSWER_TIMEOUT_S)
    return sock


def request(sock: socket.socket, kind: int, payload: bytes, attempt: str, last: int = NLMSG_ERROR) -> list[Record]:
    """Send one request and return every message up to the one of type `last`: by default, the acknowledgement.

    Answers are sent by a thread of the kernel's, after the acknowledgement or before; so whoever wants an answer waits
    for its last message and asks for no acknowledgement.

    Raises:
        KernelRefused: with `attempt` naming what was asked.
        TryLater: no answer came.
    """
    flags = NLM_F_REQUEST | (NLM_F_ACK if last == NLMSG_ERROR else 0)
    sock.sendto(HEADER.pack(HEADER.size + len(payload), kind, flags, 1, 0) + payload, (0, 0))
    received: list[Record] = []
    while True:
        kind, text = _receive_one(sock)
        received.append((kind, text))
        if kind == NLMSG_ERROR and (code := -ERROR_CODE.unpack_from(text)[0]):
            raise KernelRefused(attempt, code)
        if kind == last:
            return received


def _receive_one(sock: socket.socket) -> Record:
    try:
        datagram = sock.recv(LARGEST_RECORD)
    except TimeoutError as error:
        raise TryLater("the kernel's audit socket did not answer") from error
    return HEADER.unpack_from(datagram)[1], datagram[HEADER.size :]


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("hdr", _MsgHdr), ("len", ctypes.c_uint32))


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class _Ring:
    """Buffers for one recvmmsg call, allocated once; a page is only resident once a record has used it."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.bytes = mmap.mmap(-1, slots * LARGEST_RECORD)
        self._anchor = ctypes.c_char.from_buffer(self.bytes)
        base = ctypes.addressof(self._anchor)
        self._vectors = (_IoVec * slots)(*(_IoVec(base + i * LARGEST_RECORD, LARGEST_RECORD) for i in range(slots)))
        self.headers = (_MMsgHdr * slots)()
        for i in range(slots):
            self.headers[i].hdr.iov = ctypes.addressof(self._vectors[i])
            self.headers[i].hdr.iovlen = 1
        # Strided views read all lengths and all types of a call in one step each.
        self._lengths = (
            memoryview(self.headers).cast("B").cast("I")[_MMsgHdr.len.offset // 4 :: ctypes.sizeof(_MMsgHdr) // 4]
        )
        self._types = memoryview(self.bytes).cast("H")[2 :: LARGEST_RECORD // 2]

    def records(self, count: int) -> list[Record]:
        """The first `count` datagrams; their own length counts, as a unicast nlmsg_len is 16 short."""
        ring, size = self.bytes, LARGEST_RECORD
        lengths, kinds = self._lengths[:count].tolist(), self._types[:count].tolist()
        return [
            (kind, ring[start + 16 : start + length])
            for kind, length, start in zip(kinds, lengths, range(0, count * size, size), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Coalesce:
    """How long to wait after a record for more of them.

    Each awakening costs a fraction of a millisecond to warm up, so that many records at a time are cheaper; few are
    better read soon, while the processes that they are about are still there.
    """

    calm_s: float = 0.02
    busy_s: float = 0.07


CALMLY: Final = Coalesce()


class AuditReceiver:
    """A socket that audit records arrive on, read many at a time.

    Use `own` to be the kernel's audit daemon and `listen` to read along with another one.
    """

    def __init__(self, sock: socket.socket, *, owner: bool, slots: int, coalesce: Coalesce) -> None:
        self.owner = owner
        self.slots = slots
        self.overruns = 0
        self._socket, self._coalesce, self._busy = sock, coalesce, False
        self._ring = _Ring(slots)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._early: list[Record] = []
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    @classmethod
    def own(cls, buffer_bytes: int = 8 << 20, slots: int = 128, coalesce: Coalesce = CALMLY) -> Self:
        """Become the kernel's audit daemon: records are sent to this process alone, and held back while it is slow.

        Raises:
            SocketOwned: another daemon has the socket; `listen` still works.
        """
        sock = open_audit_socket(buffer_bytes=buffer_bytes)
        receiver = cls(sock, owner=True, slots=slots, coalesce=coalesce)
        status = struct.pack("=11I", AUDIT_STATUS_PID, 0, 0, os.getpid(), *(0,) * 7)
        try:
            receiver._early = _only_records(request(sock, AUDIT_SET, status, "become its audit daemon"))
        except KernelRefused as error:
            sock.close()
            if error.errno == errno.EEXIST:
                raise SocketOwned("another audit daemon owns the kernel's audit socket") from error
            raise
        return receiver

    @classmethod
    def listen(
        cls, drop_types: Iterable[int] = (), buffer_bytes: int = 32 << 20, slots: int = 128, coalesce: Coalesce = CALMLY
    ) -> Self:
        """Read along with the audit daemon. What does not fit the buffer is lost, seen only as gaps in the serials.

        Records of `drop_types` never leave the kernel.
        """
        sock = open_audit_socket(READLOG_GROUPS, drop_types, buffer_bytes)
        return cls(sock, owner=False, slots=slots, coalesce=coalesce)

    def wake_by(self, descriptors: Iterable[int]) -> None:
        """Have `receive` end its wait when one of these can be read, too."""
        for descriptor in descriptors:
            self._poll.register(descriptor, select.POLLIN)

    def receive(self, timeout_s: float) -> list[Record]:
        """Wait for a record, then for more to gather, and return all there are, up to one ring; empty on timeout."""
        if self._early:
            early, self._early = self._early, []
            return early
        # While many come, the first of them is not waited for: an awakening costs as much as ten records.
        if not self._busy and not self._poll.poll(timeout_s * 1000):
            return []
        time.sleep(self.pause_s)
        records = self.drain()
        self._busy = len(records) >= BUSY_RECORDS
        return records

    def keep_pace(self, count: int) -> None:
        """Count what came from elsewhere in the same wait."""
        self._busy = self._busy or count >= BUSY_RECORDS

    @property
    def pause_s(self) -> float:
        """How long records gather before they are read next."""
        return self._coalesce.busy_s if self._busy else self._coalesce.calm_s

    def drain(self) -> list[Record]:
        """What has arrived already, up to one ring, without waiting."""
        count = self._libc.recvmmsg(
            self._socket.fileno(), self._ring.headers, self._ring.slots, socket.MSG_DONTWAIT, None
        )
        if count >= 0:
            return self._ring.records(count)
        code = ctypes.get_errno()
        if code == errno.ENOBUFS:  # not fatal: the kernel tells once that something was lost and goes on
            self.overruns += 1
        elif code not in {errno.EAGAIN, errno.EINTR}:
            raise OSError(code, os.strerror(code))
        return []

    def close(self) -> None:
        """Close the socket; as owner, only after the control has given up ownership."""
        self._socket.close()


def _only_records(messages: list[Record]) -> list[Record]:
    return [message for message in messages if message[0] != NLMSG_ERROR]


def _set_receive_buffer(sock: socket.socket, size_bytes: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size_bytes)
    except PermissionError:  # without CAP_NET_ADMIN rmem_max is the limit
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)


def _drop_in_kernel(sock: socket.socket, kinds: list[int]) -> None:
    """Attach a classic BPF program that drops messages of `kinds` before they are queued."""
    if not kinds:
        return
    instruction = struct.Struct("=HBBI")
    program = [instruction.pack(0x28, 0, 0, 4)]  # ldh [4], which reads nlmsg_type as big endian
    for i, kind in enumerate(kinds):
        program.append(instruction.pack(0x15, len(kinds) - i, 0, socket.htons(kind)))  # jeq: drop
    program += [instruction.pack(0x06, 0, 0, 0xFFFFFFFF), instruction.pack(0x06, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(program))
    filter_program = struct.pack("HP", len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_program)
