"""How far time has come: before the watermark no more events are expected.

Of each origin events are expected in order, but for the lateness that is allowed. The slowest origin decides; one that
was not heard of for a while is not waited for. When all are quiet, time goes on with the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Patience", "Source", "Sources"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long events are waited for."""

    lateness_ms: int = 10_000
    idle_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Source:
    """An origin: the time of its newest event, and when it was last heard of."""

    seen_until: int
    heard_at: int


@dataclass(slots=True)
class Sources:
    """The origins of all orgs."""

    patience: Patience = field(default_factory=Patience)
    _of_org: dict[str, dict[str, Source]] = field(default_factory=dict)

    def hear(self, org: str, origin: str, source: Source) -> None:
        """Something came of an origin; its events may be older than what came before."""
        self._of_org.setdefault(org, {})[origin] = source

    def watermarks(self, now_ms: int) -> dict[str, int]:
        """By org; it may lie before an earlier one, when an origin comes back with old events."""
        return {org: self._watermark(sources, now_ms) for org, sources in self._of_org.items()}

    def _watermark(self, sources: Mapping[str, Source], now_ms: int) -> int:
        heard = [each.seen_until for each in sources.values() if now_ms - each.heard_at <= self.patience.idle_ms]
        reached = min(heard) if heard else max(each.seen_until + now_ms - each.heard_at for each in sources.values())
        # An origin whose clock is ahead must not make all others late.
        return min(reached, now_ms) - self.patience.lateness_ms
