"""How often a login may fail: a few times per name and per address, then wait."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from tocsin.model.errors import TryLater

__all__ = ["Attempts", "TooManyTries"]

_MAX_KEYS = 10_000


class TooManyTries(TryLater):
    """Too many failed logins; says how long to wait."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many failed logins; try again in {wait_s} seconds")
        self.wait_s = wait_s


class Attempts:
    """Counts failures in a sliding window, per key; keeps at most _MAX_KEYS keys, the oldest forgotten first."""

    def __init__(self, allowed: int = 5, window_ms: int = 300_000) -> None:
        """Allow so many failures per window."""
        self._allowed, self._window_ms = allowed, window_ms
        self._failures: OrderedDict[str, deque[int]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, keys: tuple[str, ...], now_ms: int) -> int:
        """Seconds until another try is allowed; 0 if now."""
        with self._lock:
            return max((self._wait_ms(key, now_ms) for key in keys), default=0) // 1000

    def _wait_ms(self, key: str, now_ms: int) -> int:
        failures = self._failures.get(key)
        if failures is None or len(failures) < self._allowed:
            return 0
        # Rounded up to whole seconds, so that whoever waits that long is let in.
        return max(0, failures[0] + self._window_ms - now_ms + 999)

    def failed(self, keys: tuple[str, ...], now_ms: int) -> None:
        """Remember a failure under each key."""
        with self._lock:
            for key in keys:
                self._failures.setdefault(key, deque(maxlen=self._allowed)).append(now_ms)
                self._failures.move_to_end(key)
            while len(self._failures) > _MAX_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, keys: tuple[str, ...]) -> None:
        """Forget the failures under each key."""
        with self._lock:
            for key in keys:
                self._failures.pop(key, None)
