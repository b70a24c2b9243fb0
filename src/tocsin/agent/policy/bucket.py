"""A token bucket: so many a second, and a second's worth at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TokenBucket"]


class TokenBucket:
    """Gives at most `per_second` tokens a second over any time, and at most that many at once."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._per_second, self._clock = per_second, clock
        self._tokens, self._filled_at = float(per_second), clock()

    def take(self) -> bool:
        """Take a token; False if there is none now."""
        now = self._clock()
        passed = max(now - self._filled_at, 0.0)
        self._filled_at = now
        self._tokens = min(self._tokens + passed * self._per_second, self._per_second)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
