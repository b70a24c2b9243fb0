"""A detection rule, compiled from a Sigma file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tocsin.model.condition import Condition
from tocsin.model.life import Life

__all__ = ["DEFAULT_GROUP_BY", "DEFAULT_WINDOW_MS", "LEVELS", "LogSource", "Rule"]

LEVELS: Final = ("informational", "low", "medium", "high", "critical")
DEFAULT_GROUP_BY: Final = ("device.uid",)
DEFAULT_WINDOW_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class LogSource:
    """What kind of log a Sigma rule is written for; empty where the rule leaves it open."""

    product: str = ""
    category: str = ""
    service: str = ""

    def __str__(self) -> str:
        return "/".join(part or "*" for part in (self.product, self.category, self.service))


@dataclass(frozen=True, slots=True)
class Rule:
    """One detection rule; `condition` holds for the events of `class_uids` that it finds."""

    id: str
    title: str
    condition: Condition
    class_uids: tuple[int, ...]
    title_template: str = ""  # "{{process.file.name}} run by {{actor.user.name}}"; empty: the title
    description: str = ""
    level: str = "medium"
    status: str = ""
    logsource: LogSource = field(default_factory=LogSource)
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    response: str = ""  # what to do about it
    group_by: tuple[str, ...] = DEFAULT_GROUP_BY  # attribute paths whose values make one alert
    window_ms: int = DEFAULT_WINDOW_MS
    threshold: int = 0  # so many matches of one group within the window are one alert; 0: each match is enough
    name: str = ""  # what correlations and filters may call it
    life: Life = field(default_factory=Life)
    path: str = ""  # file it came from
    line: int = 0  # where it starts in that file
    lines: tuple[tuple[str, int], ...] = ()  # where its selections start: (name, line)
