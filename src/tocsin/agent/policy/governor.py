"""Keep the agent's own use of the processor below a share, by asking for fewer events of the least telling classes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from tocsin.agent.policy.protected import DNS, FILE, HTTP, NETWORK, PROCESS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STEPS", "Governor"]

SUSTAINED_S: Final = 60.0
STEP_S: Final = 5.0
CALM_S: Final = 30.0
# Going back to the step before is tried when this part of the limit is used at most.
CALM_PART: Final = 0.5


def _step(network: int, files: int = 1, programs: int = 1) -> dict[int, int]:
    rates = {NETWORK: network, DNS: network, HTTP: network, FILE: files, PROCESS: programs}
    return {class_uid: rate for class_uid, rate in rates.items() if rate > 1}


# Keep one in how many, by class; of each class only what is not protected. The first step lowers nothing.
STEPS: Final[tuple[Mapping[int, int], ...]] = (
    {},
    _step(2),
    _step(4),
    _step(16),
    _step(64, files=4),
    _step(256, files=16, programs=2),
    _step(1024, files=64, programs=8),
    _step(4096, files=256, programs=64),
)


class Governor:
    """Told once a second how much processor time the agent has had; says which step to take.

    The limit counts what is used for a minute on end; once lowered, it steps on every five seconds until the last five
    are below the limit, and goes back by one step after half a minute at half of the limit.
    """

    def __init__(self, percent: int) -> None:
        self.percent, self.step = percent, 0
        self._seen: deque[tuple[float, float]] = deque()
        self._stepped_at = float("-inf")
        self._calm_since: float | None = None

    def look(self, now_s: float, cpu_s: float) -> bool:
        """Take notice of the time used so far; gives whether the step has changed."""
        self._seen.append((now_s, cpu_s))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= SUSTAINED_S:  # noqa: PLR2004 - two make a difference
            self._seen.popleft()
        wanted = self._wanted(now_s)
        changed, self.step = wanted != self.step, wanted
        if changed:
            self._stepped_at, self._calm_since = now_s, None
        return changed

    def share(self, last_s: float) -> float | None:
        """Percent of one core over that time; None if the agent does not run for so long."""
        now_s, cpu_s = self._seen[-1]
        for then_s, then_cpu_s in reversed(self._seen):
            if now_s - then_s >= last_s:
                return 100 * (cpu_s - then_cpu_s) / (now_s - then_s)
        return None

    def _wanted(self, now_s: float) -> int:
        if not self.percent:
            return 0
        if not self.step:
            sustained = self.share(SUSTAINED_S)
            return int(sustained is not None and sustained > self.percent)
        if now_s - self._stepped_at < STEP_S:
            return self.step
        recent = self.share(STEP_S)
        if recent is not None and recent > self.percent:
            return min(self.step + 1, len(STEPS) - 1)
        return self._calmer(now_s, recent)

    def _calmer(self, now_s: float, recent: float | None) -> int:
        """One step back after it has been calm for long enough."""
        if recent is None or recent > self.percent * CALM_PART:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now_s
        elif now_s - self._calm_since >= CALM_S:
            return self.step - 1
        return self.step
