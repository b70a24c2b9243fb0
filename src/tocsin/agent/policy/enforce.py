"""Put policies in force while the agent runs, and say what is in force."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tocsin.agent.operate.health import PolicyState
from tocsin.agent.policy.live import APPLIED, LIMITED, REFUSED, LivePolicy, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.agent.audit.session import AuditSession
    from tocsin.agent.capture import Capture
    from tocsin.agent.deliver.batcher import Batcher
    from tocsin.agent.operate.health import Health
    from tocsin.agent.policy.delivered import Delivered, Follower
    from tocsin.agent.redact import Redactor

__all__ = ["Enforcer"]


class Enforcer:
    """Takes what the server delivers and has capture, redaction, batches and kernel do what it says."""

    def __init__(
        self,
        live: LivePolicy,
        follower: Follower,
        capture: Capture,
        redactor: Redactor,
        batcher: Batcher,
        health: Health,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._live, self._follower, self._health = live, follower, health
        self._capture, self._redactor, self._batcher = capture, redactor, batcher
        self._clock, self._cpu_s = clock, cpu_s
        self._delivered: Delivered | None = None
        self._kernel_rules = 0

    def tick(self, session: AuditSession) -> bool:
        """Once a second: take what is new, lower what is too much; gives whether people wait to hear of it."""
        delivered = self._follower.delivered
        is_new, self._delivered = delivered is not self._delivered, delivered
        if is_new:
            self._take(delivered)
            self._put_in_force(session)
        if self._live.governor.look(self._clock(), self._cpu_s()):
            is_new = True
            self._say(LIMITED, self._live.describe())
            self._capture.gate = self._live.gate()
        self._tell()
        return is_new

    def exclude(self, session: AuditSession) -> None:
        """Have the kernel leave out what it can; now and then, since a path may have come to exist."""
        before = session.exclusions_changed
        self._kernel_rules = session.exclude(self._live.kernel_rules())
        self._capture.expect_rules(session.exclusions_changed - before)

    def lose_not_kept(self) -> None:
        """Have the next batch say which of its events were not kept, and why."""
        for reason, count in self._capture.take_not_kept().items():
            self._health.count(reason.partition("/")[0], count)
            self._batcher.lose(reason, count)

    def _take(self, delivered: Delivered) -> None:
        before = self._live.applied
        if not self._live.apply(delivered):
            self._say(REFUSED, f"{delivered.name}: {self._live.problem}; {self._live.describe()} stays")
        elif delivered.name or before:
            self._say(APPLIED, self._live.describe())

    def _put_in_force(self, session: AuditSession) -> None:
        """All of it between two events."""
        policy = self._live.policy
        self._capture.gate = self._live.gate()
        self._redactor.use(policy.redact)
        self._batcher.tag(policy.tags)
        self.exclude(session)

    def _say(self, code: str, message: str) -> None:
        self._batcher.add([told(code, message, time.time_ns() // 1_000_000)])

    def _tell(self) -> None:
        live, wanted = self._live, self._follower.wanted
        step = live.governor.step
        self._health.policy = PolicyState(wanted, live.applied, live.problem, step, self._kernel_rules)
        if live.problem:
            self._health.ill("policy", f"{live.problem}; {live.describe()} stays")
        elif wanted != live.applied:
            self._health.well("policy", f"{live.describe()}; {wanted or 'none'} is on its way")
        else:
            self._health.well("policy", live.describe())
