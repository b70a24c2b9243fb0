"""SHA-256 of files, at no more than so many bytes a second, so that a busy folder cannot make the agent eat CPU."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

from tocsin.agent.files.baseline import NEVER_HASHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.agent.files.baseline import FileState

__all__ = ["Hasher", "TokenBucket"]

SLICE_BYTES: Final = 64 << 10
# Opening and reading even an empty file costs about as much as hashing this many bytes.
LEAST_BYTES: Final = 16 << 10


class TokenBucket:
    """Bytes that may be read: so many a second, saved up to `capacity`. It begins full."""

    def __init__(self, per_s: int, capacity: int, clock: Callable[[], float]) -> None:
        self._per_s, self._capacity, self._clock = per_s, capacity, clock
        self._tokens, self._filled_at = float(capacity), clock()

    def take(self, wanted: int, *, leave: float = 0.0) -> bool:
        """Take this many bytes, unless less than the share `leave` of a full bucket would remain."""
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._filled_at) * self._per_s, self._capacity)
        self._filled_at = now
        if self._tokens - wanted < self._capacity * leave:
            return False
        self._tokens -= wanted
        return True


class Hasher:
    """Hashes regular files up to `max_bytes` while the bucket has room."""

    def __init__(self, bucket: TokenBucket, max_bytes: int) -> None:
        self._bucket, self._max_bytes = bucket, max_bytes
        self.deferred = 0

    def hash(self, path: str, state: FileState, *, leave: float = 0.0) -> bytes | None:
        """The digest; empty for what is never hashed, None for what must wait until the bucket has filled again."""
        if not state.is_regular or state.size > self._max_bytes:
            return NEVER_HASHED
        if not self._bucket.take(max(state.size, LEAST_BYTES), leave=leave):
            self.deferred += 1
            return None
        return _digest(path, self._max_bytes)


def _digest(path: str, max_bytes: int) -> bytes:
    """Of a file that is gone, or grows beyond the limit while it is read, nothing."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return NEVER_HASHED
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return NEVER_HASHED
        return _digest_of(descriptor, max_bytes)
    except OSError:
        return NEVER_HASHED
    finally:
        os.close(descriptor)


def _digest_of(descriptor: int, max_bytes: int) -> bytes:
    digest = hashlib.sha256()
    while part := os.read(descriptor, SLICE_BYTES):
        digest.update(part)
        max_bytes -= len(part)
        if max_bytes < 0:
            return NEVER_HASHED
    return digest.digest()
