"""The policy in force: what the server delivers and the agent's own settings, and how far the governor lowers it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tocsin.agent.policy.delivered import Delivered
from tocsin.agent.policy.document import CPU_PERCENT, Policy, merge
from tocsin.agent.policy.gate import Gate
from tocsin.agent.policy.governor import STEPS, Governor
from tocsin.agent.policy.kernel import kernel_rules
from tocsin.agent.policy.read import read_policy
from tocsin.model.errors import InvalidSetting
from tocsin.model.event import Event
from tocsin.model.schema import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.agent.audit.rules import Rule

__all__ = ["APPLIED", "LIMITED", "REFUSED", "LivePolicy", "told"]

APPLIED, REFUSED, LIMITED = "POLICY_APPLIED", "POLICY_REFUSED", "CPU_LIMIT"
LOG_NAME: Final = "tocsin-agent"


class LivePolicy:
    """Exchanged whole: policies of which one cannot be read change nothing."""

    def __init__(self, local: Policy, *, salt: str, uid_of: Callable[[str], str | None]) -> None:
        self._local, self._salt, self._uid_of = local, salt, uid_of
        self.applied = self.refused = self.problem = ""
        self.policy = merge([local])
        self.governor = Governor(_percent(self.policy))

    def apply(self, delivered: Delivered) -> bool:
        """Put these in force beside the agent's own settings; gives whether they were taken. `problem` says why not."""
        try:
            policies = [read_policy(each.content, f"{each.name}@{each.version}") for each in delivered.policies]
        except InvalidSetting as error:
            self.refused, self.problem = delivered.name, str(error)
            return False
        self.policy = merge([*policies, self._local])
        self.applied, self.refused, self.problem = delivered.name, "", ""
        percent = _percent(self.policy)
        if percent != self.governor.percent:
            self.governor = Governor(percent)
        return True

    def gate(self) -> Gate | None:
        """What decides about events from now on; None if all are kept."""
        gate = Gate(
            self.policy,
            salt=self._salt,
            clock=time.monotonic,
            uid_of=self._uid_of,
            lowered=STEPS[self.governor.step],
        )
        return None if gate.is_open else gate

    def kernel_rules(self) -> list[Rule]:
        """What the kernel can leave out by itself."""
        return kernel_rules(self.policy, self._uid_of)

    def describe(self) -> str:
        """One line for people: what is in force, and what is lowered."""
        said = [self.applied or "none from the server"]
        if self.governor.step:
            kept = ", ".join(f"{CLASSES[uid].name} 1 in {rate}" for uid, rate in STEPS[self.governor.step].items())
            said.append(f"over {self.governor.percent} % of a core, step {self.governor.step}: keeps of {kept}")
        return "; ".join(said)


def told(code: str, message: str, now_ms: int) -> Event:
    """An event in which the agent tells of itself; always kept."""
    values: dict[str, str | int | bool] = {
        "time": now_ms,
        "activity_id": 99,
        "message": message,
        "metadata.log_name": LOG_NAME,
        "metadata.event_code": code,
    }
    return Event(0, values)


def _percent(policy: Policy) -> int:
    return CPU_PERCENT if policy.cpu_percent is None else policy.cpu_percent
