"""What a rule set says about correlations, and what the detector notes for them on its way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import sqlalchemy as sa

from tocsin import metrics
from tocsin.columnar.frame import Frame
from tocsin.detect.life.placement import Placement
from tocsin.detect.window import store
from tocsin.detect.window.collect import Members, Seen, matches_of, progress
from tocsin.detect.window.version import versions
from tocsin.model.correlation import Correlation
from tocsin.model.life import State
from tocsin.model.rule import Rule
from tocsin.state.life.hits import HOUR_MS, Hits
from tocsin.wiring.detection.verdict import count

__all__ = ["Correlating", "Noted", "Noting", "correlating"]


class Correlating:
    """The correlations of every org, and who looks at which rule."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.of_org: dict[str, tuple[Correlation, ...]] = {
            org: tuple(each for each in rules.correlations if rules.state(each.id) is not State.DISABLED)
            for org, rules in placement.orgs.items()
        }
        self.members = Members(self.of_org)
        self.versions = versions(self.of_org)
        # Orgs in which a rule raises no alerts of its own, be its correlation disabled or not.
        self.silent: dict[str, set[str]] = {}
        for org, rules in placement.orgs.items():
            for rule_id in rules.only_for_correlations:
                self.silent.setdefault(rule_id, set()).add(org)


@lru_cache(maxsize=2)
def correlating(placement: Placement) -> Correlating:
    """What a placement says about correlations, worked out once."""
    return Correlating(placement)


@dataclass(frozen=True, slots=True)
class Noted:
    """What of some batches matters to correlations."""

    seen: list[Seen]
    progress: Mapping[tuple[str, str], int]
    versions: store.Versions
    hits: Mapping[tuple[str, str, int], Hits]  # by org, rule and hour, of rules that raise no alerts of their own

    def keep(self, connection: sa.Connection, now_ms: int) -> None:
        """Write it, in the transaction that moves the detector's position."""
        if self.hits:
            count(connection, self.hits)
        if self.versions:
            store.keep(connection, self.seen, self.progress, self.versions, now_ms)
            sa.event.listen(connection, "commit", lambda _connection: metrics.CORRELATED.inc(len(self.seen)), once=True)


@dataclass(slots=True)
class Noting:
    """Stands where the placement does; notes rows on the way, and keeps those back that raise no alert of their own."""

    correlating: Correlating
    _frames: dict[int, tuple[Frame, list[tuple[Rule, list[int]]]]] = field(default_factory=dict)
    _hits: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def __call__(self, rule: Rule, frame: Frame, rows: list[int]) -> list[int]:
        """Of the rows that the rule matches, those where it applies and is more than part of a correlation."""
        placement = self.correlating.placement
        applying = placement(rule, frame, rows)
        if applying and self.correlating.members.look_at(rule):
            self._frames.setdefault(id(frame), (frame, []))[1].append((rule, applying))
        silent = self.correlating.silent.get(rule.id)
        return self._told(rule, silent, frame, applying) if silent and applying else applying

    def _told(self, rule: Rule, silent: set[str], frame: Frame, rows: list[int]) -> list[int]:
        """The rows of orgs in which the rule raises alerts; those of the others are only counted."""
        found = frame.table.select(["metadata.tenant_uid", "time"]).take(rows)
        orgs, times = (found[name].to_pylist() for name in found.column_names)
        self._hits.update(
            (org, rule.id, time - time % HOUR_MS) for org, time in zip(orgs, times, strict=True) if org in silent
        )
        return [row for row, org in zip(rows, orgs, strict=True) if org not in silent]

    def noted(self, frames: Mapping[int, Frame]) -> Noted:
        """What was noted of these frames."""
        hits = {place: Hits(matches=number) for place, number in self._hits.items()}
        if not self.correlating.members:
            return Noted([], {}, {}, hits)
        seen = [
            each
            for frame, matched in self._frames.values()
            for each in matches_of(self.correlating.members, frame, matched)
        ]
        return Noted(seen, progress(frames.values()), self.correlating.versions, hits)
