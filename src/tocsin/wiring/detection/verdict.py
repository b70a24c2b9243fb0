"""From what rules found to what is kept: who is told, what counts against budgets, what is counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tocsin import metrics
from tocsin.alert.budget import NOISE_RULE, charge, within
from tocsin.alert.record import record
from tocsin.alert.silence import refilled
from tocsin.columnar.frame import Frame, events_at
from tocsin.detect.evaluate.naive import met
from tocsin.model.event import Event, flatten, nest
from tocsin.model.finding import Finding
from tocsin.state.life.hits import HOUR_MS, Hits, add_hits
from tocsin.state.life.suppressions import note_hidden
from tocsin.wiring.rules.live import RuleSet

__all__ = ["count", "keep", "silenced", "silenced_alone"]


def silenced(rules: RuleSet, findings: Sequence[Finding], frames: Mapping[int, Frame]) -> list[Finding]:
    """The findings, those marked that nobody is told of: of staged rules, and hidden by a suppression."""
    marked = _staged(rules, findings)
    concerned = rules.silence.concerned(marked)
    if not concerned:
        return marked
    events = _events(frames, {finding.event_uid for finding in concerned})
    hidden = rules.silence.hide(marked, events)
    return refilled(hidden, lambda finding: _whole(rules, finding, events)) if hidden != marked else marked


def silenced_alone(rules: RuleSet, findings: Sequence[Finding]) -> list[Finding]:
    """The same of findings that carry their events themselves, such as those of correlations."""
    events = {finding.event_uid: flatten(finding.event) for finding in findings if finding.event}
    return rules.silence.hide(_staged(rules, findings), events)


def _staged(rules: RuleSet, findings: Iterable[Finding]) -> list[Finding]:
    silent: dict[tuple[str, str], bool] = {}
    marked = []
    for finding in findings:
        place = finding.org, finding.rule_id
        if place not in silent:
            silent[place] = rules.state(*place).silent
        marked.append(msgspec.structs.replace(finding, staged=True) if silent[place] else finding)
    return marked


def _events(frames: Mapping[int, Frame], uids: set[str]) -> dict[str, Event]:
    wanted = pa.array(sorted(uids), pa.string())
    found: dict[str, Event] = {}
    for frame in frames.values():
        rows = pc.indices_nonzero(pc.is_in(frame.table["metadata.uid"], value_set=wanted)).to_pylist()
        found |= {str(event.values["metadata.uid"]): event for event in (events_at(frame, rows) if rows else ())}
    return found


def _whole(rules: RuleSet, finding: Finding, events: Mapping[str, Event]) -> Finding:
    event = events.get(finding.event_uid)
    rule = rules.placement.of(finding.org).rules.get(finding.rule_id)
    if event is None or rule is None:
        return finding
    return msgspec.structs.replace(finding, met=met(rule.condition, event), event=nest(event))


def keep(connection: sa.Connection, rules: RuleSet, findings: Sequence[Finding], now_ms: int) -> None:
    """Write alerts, budgets and counts in the caller's transaction."""
    if not findings:
        return
    allowed = within(connection, findings, rules.budget, now_ms)
    recorded = record(connection, allowed, now_ms)
    charge(connection, (first for first in recorded.opened if rules.budget(first.org, first.rule_id) is not None))
    count(connection, _tally(allowed, recorded.opened))
    note_hidden(connection, _hidden(allowed), now_ms)


def count(connection: sa.Connection, counted: Mapping[tuple[str, str, int], Hits]) -> None:
    """Add hits of rules, by org, rule and hour, in the caller's transaction; one that is rolled back counts nothing."""
    add_hits(connection, counted)
    sa.event.listen(connection, "commit", lambda _connection: _measure(counted), once=True)


def _tally(findings: Iterable[Finding], opened: Iterable[Finding]) -> dict[tuple[str, str, int], Hits]:
    found: defaultdict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for finding in findings:
        counts = found[_place(finding)]
        counts[0] += 1
        counts[2] += finding.staged
        counts[3] += bool(finding.suppressed_by)
    for first in opened:
        found[_place(first)][1] += 1
    return {place: Hits(*counts) for place, counts in found.items()}


def _place(finding: Finding) -> tuple[str, str, int]:
    return finding.org, finding.rule_id, finding.time - finding.time % HOUR_MS


def _hidden(findings: Iterable[Finding]) -> dict[tuple[str, str], int]:
    counted: defaultdict[tuple[str, str], int] = defaultdict(int)
    for finding in findings:
        if finding.suppressed_by:
            counted[finding.org, finding.suppressed_by] += 1
    return counted


def _measure(counted: Mapping[tuple[str, str, int], Hits]) -> None:
    for (_org, rule_id, _hour), hits in counted.items():
        if rule_id == NOISE_RULE:
            metrics.RULES_DEMOTED.inc(hits.matches)
        metrics.RULE_MATCHES.labels(metrics.RULE_NAMES(rule_id)).inc(hits.matches)
