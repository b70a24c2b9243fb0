"""A packet socket that gives the packets from and to port 53, each once, whatever else the network does.

A classic BPF program chooses them in the kernel. On the loopback each packet passes twice, outwards and inwards: the
way outwards is left out there. The socket sees its own network namespace alone.

Source: packet(7), linux/filter.h, linux/if_packet.h.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

from tocsin.agent.names.packet import PORT, TCP, UDP
from tocsin.model.errors import NotAllowed

__all__ = ["Tap"]

ETH_P_ALL: Final = 3  # packets that leave are only shown to who asks for all protocols
SO_ATTACH_FILTER: Final = 26
SOL_PACKET, PACKET_STATISTICS = 263, 6
LARGEST_PACKET: Final = 4096
_STATISTICS: Final = struct.Struct("=II")
_INSTRUCTION: Final = struct.Struct("=HBBI")
_LD_BYTE, _LD_HALF, _LD_HALF_X, _LDX_HEADER = 0x30, 0x28, 0x48, 0xB1
_JEQ, _JSET, _RET = 0x15, 0x45, 0x06
_OUTSIDE: Final = 0xFFFFF000  # SKF_AD_OFF: what the kernel knows beside the packet's bytes
_PROTOCOL, _PACKET_TYPE, _HARDWARE = _OUTSIDE, _OUTSIDE + 4, _OUTSIDE + 28
_OTHERHOST, _OUTGOING, _LOOPBACK = 3, 4, 772
_IPV4, _IPV6, _FRAGMENT = 0x0800, 0x86DD, 0x1FFF

# Code, what it works on, and where to go on if it holds and if it does not: a label, or the next instruction.
_PROGRAM: Final[tuple[tuple[str, int, int, str, str], ...]] = (
    ("", _LD_BYTE, _PACKET_TYPE, "", ""),
    ("", _JEQ, _OTHERHOST, "drop", ""),
    ("", _JEQ, _OUTGOING, "", "protocol"),
    ("", _LD_HALF, _HARDWARE, "", ""),
    ("", _JEQ, _LOOPBACK, "drop", ""),
    ("protocol", _LD_HALF, _PROTOCOL, "", ""),
    ("", _JEQ, _IPV6, "ipv6", ""),
    ("", _JEQ, _IPV4, "", "drop"),
    ("", _LD_BYTE, 9, "", ""),
    ("", _JEQ, UDP, "whole", ""),
    ("", _JEQ, TCP, "", "drop"),
    ("whole", _LD_HALF, 6, "", ""),
    ("", _JSET, _FRAGMENT, "drop", ""),
    ("", _LDX_HEADER, 0, "", ""),
    ("", _LD_HALF_X, 0, "", ""),
    ("", _JEQ, PORT, "keep", ""),
    ("", _LD_HALF_X, 2, "", ""),
    ("", _JEQ, PORT, "keep", "drop"),
    ("ipv6", _LD_BYTE, 6, "", ""),
    ("", _JEQ, UDP, "ports", ""),
    ("", _JEQ, TCP, "", "drop"),
    ("ports", _LD_HALF, 40, "", ""),
    ("", _JEQ, PORT, "keep", ""),
    ("", _LD_HALF, 42, "", ""),
    ("", _JEQ, PORT, "keep", "drop"),
    ("keep", _RET, LARGEST_PACKET, "", ""),
    ("drop", _RET, 0, "", ""),
)


class Tap:
    """The open socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def open(cls) -> Tap:
        """Begin to listen to what the filter lets through.

        Raises:
            NotAllowed: without CAP_NET_RAW.
        """
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
        except PermissionError as error:
            raise NotAllowed(f"to see names asked for needs CAP_NET_RAW: {error.strerror}") from error
        code = ctypes.create_string_buffer(_assembled())
        program = struct.pack("HP", len(_PROGRAM), ctypes.addressof(code))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        tap = cls(sock)
        while tap.receive():  # what came in before there was a filter
            pass
        return tap

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> tuple[bytes, bool] | None:
        """The next packet from its IP header on, and whether this host sent it; None if there is none yet."""
        try:
            raw, (_, _, kind, hardware, _) = self._socket.recvfrom(LARGEST_PACKET)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:  # ENETDOWN: an interface went away, once told
            return None
        return raw, kind == _OUTGOING or hardware == _LOOPBACK

    def dropped(self) -> int:
        """Packets for which the socket had no room, since the last call."""
        raw = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(raw)[1])

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def _assembled() -> bytes:
    """The program as the kernel takes it: jumps count the instructions to pass over."""
    places = {label: at for at, (label, *_) in enumerate(_PROGRAM) if label}
    code = []
    for at, (_, operation, operand, then, otherwise) in enumerate(_PROGRAM):
        skip, skip_else = (places[label] - at - 1 if label else 0 for label in (then, otherwise))
        code.append(_INSTRUCTION.pack(operation, skip, skip_else, operand))
    return b"".join(code)
