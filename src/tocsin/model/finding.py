"""What detection says about one event, and what people get to see of many such."""

from __future__ import annotations

import hashlib

import msgspec

from tocsin.model.event import Json

__all__ = ["EVIDENCE_KEPT", "Finding", "MetTerm", "alert_id", "window_start"]

EVIDENCE_KEPT = 50  # so many events an alert keeps whole; of more it keeps the number


class MetTerm(msgspec.Struct, frozen=True):
    """One term of a rule's condition that the event met, and the value that met it."""

    field: str  # path in the schema
    term: str  # as the rule says it, e.g. "CommandLine|contains: /dev/tcp/"
    value: str


class Finding(msgspec.Struct, frozen=True):
    """One rule matched one event."""

    org: str
    rule_id: str
    rule_title: str
    title: str  # the title template, filled from the event
    level: str  # informational, low, medium, high, critical
    tags: tuple[str, ...]
    origin: str
    hostname: str
    event_uid: str
    class_uid: int
    time: int  # ms
    group: dict[str, str]  # the rule's group-by fields and their values in the event
    window_ms: int
    met: tuple[MetTerm, ...]  # empty, like the event, beyond the EVIDENCE_KEPT first of one alert in a batch
    event: dict[str, Json]  # nested, as exported
    staged: bool = False  # kept, but nobody is told: the rule is being tried
    suppressed_by: str = ""  # kept, but nobody is told: the suppression that hides it
    fired_at: int = 0  # of a correlation: where the alert's window follows from; else that is the event's own time

    @property
    def window_start(self) -> int:
        """Start of the alert's window."""
        return window_start(self.fired_at or self.time, self.window_ms)


def window_start(time_ms: int, window_ms: int) -> int:
    """Start of the window that a time falls into; windows lie on a fixed grid, so that a replay finds the same."""
    return time_ms - time_ms % window_ms if window_ms else time_ms


def alert_id(finding: Finding) -> str:
    """The alert that a finding belongs to: org, rule, group and window decide, so a replay adds nothing.

    What nobody is told of makes alerts of its own, so that it neither hides nor swells one that somebody is told of.
    """
    group = "\0".join(f"{key}={value}" for key, value in sorted(finding.group.items()))
    silence = "\0\0staged" * finding.staged + (f"\0\0{finding.suppressed_by}" if finding.suppressed_by else "")
    text = f"{finding.org}\0{finding.rule_id}\0{finding.window_start}\0{group}{silence}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]
