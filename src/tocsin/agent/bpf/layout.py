"""How a record of the sensor lies in memory: `struct record` of sensor.bpf.c, field by field."""

from __future__ import annotations

import enum
import struct
from typing import Final

__all__ = [
    "BY_DESCRIPTOR",
    "CWD_DELETED",
    "EXE_DELETED",
    "HEAD",
    "HEAD_SIZE",
    "IDENTITY",
    "TRUNCATED",
    "UNREADABLE",
    "WHO",
    "Kind",
    "text_of",
]

HEAD: Final = struct.Struct("=QHHiHHIII")  # time, kind, flags, result, sizes: exe, cwd, rest, whole, body
# The process: its start and id, its parent's id and start, its cgroup; then its users and groups, names, terminal.
IDENTITY: Final = struct.Struct("=QIIQQ")
WHO: Final = struct.Struct("=6I16s64s")
HEAD_SIZE: Final = HEAD.size + IDENTITY.size + WHO.size


class Kind(enum.IntEnum):
    """What a record tells of."""

    EXEC = 1
    REFUSED = 2
    CONNECT = 3
    BIND = 4
    ACCEPT = 5
    ACCEPT4 = 6
    EXIT = 7


# What is to be known of a record's body; plain numbers, as an IntFlag's & costs ten times as much.
EXE_DELETED, CWD_DELETED, TRUNCATED, UNREADABLE, BY_DESCRIPTOR = 1, 2, 4, 8, 16


def text_of(raw: bytes) -> str:
    """A text that ends at the first NUL, decoded as audit's are."""
    return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")
