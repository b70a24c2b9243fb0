"""Give back memory that only the start needed: a collector must not be felt on its host."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["forget_files", "give_back", "one_arena", "settle"]

MAPS: Final = Path("/proc/self/smaps")
MAPPING_FIELDS: Final = 5  # of its first line: range, permissions, offset, device, inode
MADV_DONTNEED: Final = 4
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
LARGE_BYTES: Final = 256 << 10  # what is larger goes back to the kernel as soon as it is freed
# Most objects die at once by their reference count; looking for cycles every 700 of them is a tenth of the CPU time.
GC_THRESHOLD: Final = 50_000

_libc = ctypes.CDLL(None, use_errno=True)


def one_arena() -> None:
    """To be called before there are threads: each would get an arena of its own, which is never given back."""
    mallopt = getattr(_libc, "mallopt", None)  # glibc and a few others have it
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def settle() -> None:
    """To be called once everything is loaded: forget the start, and look for garbage seldom from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    give_back()


def give_back() -> None:
    """Return what the allocator holds and nobody uses, and the pages of programs that are not in use just now."""
    trim = getattr(_libc, "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
    forget_files()


def forget_files() -> None:
    """Unmap the pages of programs and libraries.

    They stay in the page cache; the few that are needed again are mapped again without reading a disk.
    """
    for start, end in _unchanged_files():
        _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


def _unchanged_files() -> Iterator[tuple[int, int]]:
    """Where files are mapped that cannot be written to and never were: relocations would be lost with their page."""
    start = end = 0
    is_file = False
    for line in MAPS.read_text().splitlines():
        fields = line.split()
        if "-" in fields[0] and len(fields) >= MAPPING_FIELDS:
            first, _, last = fields[0].partition("-")
            start, end = int(first, 16), int(last, 16)
            is_file = fields[1] in {"r-xp", "r--p"} and fields[4] != "0"
        elif is_file and fields[0] == "Anonymous:" and fields[1] == "0":
            yield start, end
