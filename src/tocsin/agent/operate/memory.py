"""Give back memory that only the start needed: a collector must not be felt on its host."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["give_back", "settle"]

MAPS: Final = Path("/proc/self/maps")
MADV_DONTNEED: Final = 4
# Most objects die at once by their reference count; looking for cycles every 700 of them is a tenth of the CPU time.
GC_THRESHOLD: Final = 50_000

_libc = ctypes.CDLL(None, use_errno=True)


def settle() -> None:
    """To be called once everything is loaded: forget the start, and look for garbage seldom from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    give_back()
    for start, end in _program_text():
        # The pages stay in the page cache; the few that are needed again are mapped again without reading a disk.
        _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


def give_back() -> None:
    """Return what the allocator holds and nobody uses."""
    trim = getattr(_libc, "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)


def _program_text() -> Iterator[tuple[int, int]]:
    """Code mapped from files. Read-only data is left alone: relocations, written before it was locked, live there."""
    for line in MAPS.read_text().splitlines():
        fields = line.split()
        if fields[1] == "r-xp" and fields[4] != "0":
            start, _, end = fields[0].partition("-")
            yield int(start, 16), int(end, 16)
