"""Read a BPF ring buffer through its pages, without a call per record.

Source: linux/kernel/bpf/ringbuf.c, Documentation/bpf/ringbuf.rst.
"""

from __future__ import annotations

import mmap
from typing import Final

__all__ = ["RingBuffer"]

HEADER_SIZE: Final = 8
BUSY, DISCARDED = 1 << 31, 1 << 30


class RingBuffer:
    """The consumer's side of a ring buffer map.

    The kernel offers the data twice in a row, so that none is ever cut; each page that is mapped counts as resident, so
    here it is mapped once, and what runs over the end is put together.
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._size, self._start = size_bytes, page
        self._consumer = mmap.mmap(descriptor, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._pages = mmap.mmap(descriptor, page + size_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        # 64-bit positions are read and written in one step each, which struct does not promise.
        self._consumed = memoryview(self._consumer).cast("Q")
        self._produced = memoryview(self._pages)[:page].cast("Q")
        self._headers = memoryview(self._pages)[page:].cast("I")

    def read(self, most: int) -> list[bytes]:
        """The records that have come, up to `most` of them, in the order in which they were begun."""
        at, end = self._consumed[0], self._produced[0]
        mask, start, headers, pages = self._size - 1, self._start + HEADER_SIZE, self._headers, self._pages
        records: list[bytes] = []
        while at < end and len(records) < most:
            place = at & mask
            length = headers[place >> 2]
            if length & BUSY:
                break
            size = length & ~DISCARDED
            if not length & DISCARDED:
                over = place + HEADER_SIZE + size - self._size
                record = pages[start + place : start + place + size - max(over, 0)]
                records.append(record + pages[self._start : self._start + over] if over > 0 else record)
            at += (size + HEADER_SIZE + 7) & ~7
        self._consumed[0] = at
        return records

    @property
    def waiting_bytes(self) -> int:
        """How much has come and has not been read."""
        return self._produced[0] - self._consumed[0]

    def close(self) -> None:
        """Unmap the pages."""
        for view in (self._consumed, self._produced, self._headers):
            view.release()
        self._consumer.close()
        self._pages.close()
