"""Which findings nobody is told of: those of staged rules, and those that a suppression hides.

They are kept as alerts of their own. A suppression hides events whose own time is before its expiry, from the moment
that it is added: a replay, or a batch that comes late, is hidden as it would have been.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tocsin.conditions.parse_sql import parse_filter
from tocsin.model.condition import Condition
from tocsin.model.errors import BadInput
from tocsin.model.event import Event
from tocsin.model.finding import EVIDENCE_KEPT, Finding, alert_id
from tocsin.state.life.suppressions import NewSuppression, Suppression

__all__ = ["MAX_REASON", "Holds", "Silence", "checked", "refilled"]

MAX_REASON = 2_000
Holds = Callable[[Condition, Event], bool]


def checked(new: NewSuppression, now_ms: int) -> NewSuppression:
    """The suppression, if all that it needs is there and can be understood.

    Raises:
        BadInput: owner or reason is missing, or the expiry is in the past.
        InvalidQuery: the expression cannot be understood.
    """
    for name in ("expression", "owner", "reason"):
        if not getattr(new, name).strip():
            raise BadInput(f"a suppression needs an {name}" if name != "reason" else "a suppression needs a reason")
    if len(new.reason) > MAX_REASON:
        raise BadInput(f"a suppression's reason has at most {MAX_REASON} characters")
    if new.expires_at <= now_ms:
        raise BadInput("a suppression must end in the future")
    parse_filter(new.expression)
    return new


class Silence:
    """The suppressions that are in force, ready to be applied."""

    def __init__(self, suppressions: Iterable[Suppression], holds: Holds) -> None:
        """Take how a condition is judged on an event, the same way that rules are."""
        self._holds = holds
        self._of_org: dict[str, list[tuple[Suppression, Condition]]] = {}
        for each in sorted(suppressions, key=lambda one: (one.created_at, one.id)):
            if each.removed_at is None:
                self._of_org.setdefault(each.org, []).append((each, parse_filter(each.expression)))

    def concerned(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings whose events must be looked at."""
        return [finding for finding in findings if any(True for _ in self._possible(finding))]

    def _possible(self, finding: Finding) -> Iterable[tuple[Suppression, Condition]]:
        for each, condition in self._of_org.get(finding.org, ()):
            if each.rule_id in ("", finding.rule_id) and finding.time < each.expires_at:
                yield each, condition

    def hide(self, findings: Sequence[Finding], events: Mapping[str, Event]) -> list[Finding]:
        """The findings, those that are hidden with the first suppression that hides each; events are by their id."""
        return [self._hidden(finding, events.get(finding.event_uid)) for finding in findings]

    def _hidden(self, finding: Finding, event: Event | None) -> Finding:
        if event is None:
            return finding
        for each, condition in self._possible(finding):
            if self._holds(condition, event):
                return msgspec.structs.replace(finding, suppressed_by=each.id)
        return finding


def refilled(findings: Sequence[Finding], whole: Callable[[Finding], Finding]) -> list[Finding]:
    """The findings with the first of each alert whole.

    Detection makes only the first of an alert whole, and hiding may have made two alerts of one.
    """
    seen: Counter[str] = Counter()
    kept = []
    for finding in findings:
        key = alert_id(finding)
        seen[key] += 1
        kept.append(whole(finding) if not finding.event and seen[key] <= EVIDENCE_KEPT else finding)
    return kept
