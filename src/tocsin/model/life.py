"""What a rule's file says about its life: whether it is on, how noisy it may be, and where it applies."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

__all__ = ["Life", "State", "severity"]

_SEVERITIES: Final = {"critical": 1, "high": 1, "medium": 2}


def severity(level: str) -> int:
    """A Sigma level as Threat Stack counts severities: 1 is the highest, 3 the lowest."""
    return _SEVERITIES.get(level, 3)


class State(enum.StrEnum):
    """What becomes of a rule's matches."""

    ACTIVE = "active"  # alerts
    STAGED = "staged"  # alerts that nobody is told of
    DEMOTED = "demoted"  # staged, because it was noisier than its budget allows
    DISABLED = "disabled"  # nothing

    @property
    def silent(self) -> bool:
        """Whether it matches, but nobody is told."""
        return self in (State.STAGED, State.DEMOTED)


@dataclass(frozen=True, slots=True)
class Life:
    """What stands under `tocsin` beside the alert's looks."""

    state: State = State.ACTIVE
    noise_budget: int | None = None  # alerts a day; None leaves it to the settings
    include: tuple[str, ...] = ()  # tags (`name=value` or `name`) of which an agent must have one
    exclude: tuple[str, ...] = ()  # tags of which an agent must have none
    ruleset: str = ""  # which ruleset it belongs to; empty: that of the folder it lies in
