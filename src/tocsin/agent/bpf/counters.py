"""What the kernel counts for the sensor, asked by bpf(2).

Source: bpf(2); linux/bpf.h (union bpf_attr, struct bpf_prog_info).
"""

from __future__ import annotations

import ctypes
import platform
import struct
from typing import Final

__all__ = ["count", "misses"]

SYSCALL: Final = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), -1)
MAP_LOOKUP_ELEM, OBJ_GET_INFO_BY_FD = 1, 15
_ATTRIBUTES_SIZE: Final = 64
_PROGRAM_INFO_SIZE: Final = 256
_RECURSION_MISSES_AT: Final = 208  # since Linux 5.12; zero before

_libc = ctypes.CDLL(None, use_errno=True)


def count(map_descriptor: int, key: int) -> int:
    """A number of an array of 64-bit counters; 0 if it cannot be read."""
    number, value = ctypes.c_uint32(key), ctypes.c_uint64()
    found = _bpf(MAP_LOOKUP_ELEM, "=IxxxxQQQ", map_descriptor, ctypes.addressof(number), ctypes.addressof(value), 0)
    return value.value if found else 0


def misses(program_descriptor: int) -> int:
    """How often the kernel did not run a program as one was running on that CPU already."""
    described = ctypes.create_string_buffer(_PROGRAM_INFO_SIZE)
    attributes = program_descriptor, _PROGRAM_INFO_SIZE, ctypes.addressof(described)
    found = _bpf(OBJ_GET_INFO_BY_FD, "=IIQ", *attributes)
    return int(struct.unpack_from("=Q", described, _RECURSION_MISSES_AT)[0]) if found else 0


def _bpf(command: int, layout: str, *values: int) -> bool:
    attributes = ctypes.create_string_buffer(struct.pack(layout, *values), _ATTRIBUTES_SIZE)
    return bool(_libc.syscall(SYSCALL, command, attributes, _ATTRIBUTES_SIZE) == 0)
