"""Numbers and names of Linux audit: record types, system calls, errors, architectures; loaded when first asked."""

from __future__ import annotations

import json
import pkgutil
import sys
from functools import cache, lru_cache
from typing import Final, cast

__all__ = [
    "ARCHITECTURES",
    "errno_name",
    "is_kernel_type",
    "record_type",
    "syscall_name",
    "syscall_names",
    "type_number",
    "uring_operation",
]

# AUDIT_ARCH_* of linux/audit.h: ELF machine, 64 bit, little endian.
ARCHITECTURES: Final = {
    "c000003e": "x86_64",
    "40000003": "i386",
    "c00000b7": "aarch64",
    "40000028": "arm",
    "28": "armeb",
    "c00000f3": "riscv64",
    "c0000015": "ppc64le",
    "80000015": "ppc64",
    "80000016": "s390x",
    "16": "s390",
    "14": "ppc",
}
_X32_BIT: Final = 0x40000000
_FIRST_KERNEL, _LAST_KERNEL = 1300, 1399


def _load(name: str) -> object:
    # pkgutil, as importlib.resources costs the agent 2 MB of imports.
    return json.loads(pkgutil.get_data("tocsin", f"content/audit/{name}.json") or b"")


@cache
def _record_types() -> dict[int, str]:
    named = cast(dict[str, str], _load("record_types"))
    return {int(number): sys.intern(name) for number, name in named.items()}


@cache
def _kernel_types() -> frozenset[str]:
    return frozenset(name for number, name in _record_types().items() if _FIRST_KERNEL <= number <= _LAST_KERNEL)


@cache
def syscall_names() -> dict[str, dict[int, str]]:
    """System calls by number, per architecture as audit names it."""
    tables = cast(dict[str, dict[str, str]], _load("syscalls"))
    return {arch: {int(number): sys.intern(name) for number, name in names.items()} for arch, names in tables.items()}


@cache
def _uring_operations() -> dict[str, str]:
    return cast(dict[str, str], _load("uring_ops"))


def uring_operation(number: str) -> str:
    """Name of an io_uring operation, that of the system call it stands for; the number itself if unknown."""
    return _uring_operations().get(number, number)


@cache
def _errno_names() -> dict[int, str]:
    return {int(number): name for number, name in cast(dict[str, str], _load("errno")).items()}


@lru_cache(maxsize=4096)
def record_type(number: int) -> str:
    """Name of a record type, `UNKNOWN[1234]` if there is none, as auditd prints it."""
    return _record_types().get(number) or f"UNKNOWN[{number}]"


@lru_cache(maxsize=4096)
def type_number(name: str) -> int:
    """Number of a record type; 0 if nobody knows it."""
    for number, known in _record_types().items():
        if known == name:
            return number
    return int(name[8:-1]) if name.startswith("UNKNOWN[") and name[8:-1].isdecimal() else 0


def is_kernel_type(name: str) -> bool:
    """Is it a record that the kernel alone writes, about a system call?"""
    return name in _kernel_types()


@lru_cache(maxsize=4096)
def syscall_name(arch: str, number: str) -> str:
    """Name of a system call from a record's `arch` (hex) and `syscall`; the number itself if unknown."""
    if not number.isdecimal() or len(number) > 10:  # noqa: PLR2004 - a 32-bit number has at most ten digits
        return number
    name = ARCHITECTURES.get(arch, arch)
    value = int(number)
    if name == "x86_64" and value & _X32_BIT:  # x32 numbers are x86_64's with one bit set, up to its own few
        value &= ~_X32_BIT
    return syscall_names().get(name, {}).get(value, number)


def errno_name(exit_code: str) -> str:
    """Name of the error in a negative `exit`; the number itself if it is none."""
    if not exit_code.startswith("-") or not exit_code[1:].isdecimal() or len(exit_code) > 5:  # noqa: PLR2004 - errno is below 4096
        return exit_code
    return _errno_names().get(int(exit_code[1:]), exit_code)
