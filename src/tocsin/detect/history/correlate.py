"""Correlations over history: the hits of their members, judged by the code that the live consumer runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tocsin.columnar.flat import flat
from tocsin.columnar.frame import events_at
from tocsin.detect.history.columns import paths_of_fields
from tocsin.detect.history.in_force import HiddenEvents, HiddenTallies
from tocsin.detect.history.scan import Rows
from tocsin.detect.history.tally import Tally
from tocsin.detect.window.collect import Members
from tocsin.detect.window.correlate import firings
from tocsin.detect.window.match import Firing, Match
from tocsin.model.condition import TRUE
from tocsin.model.correlation import Correlation
from tocsin.model.rule import Rule
from tocsin.ports import Piece

__all__ = ["as_rule", "correlated"]

_DAY_MS = 86_400_000


def correlated(
    correlations: Sequence[Correlation],
    rules: Sequence[Rule],
    org: str,
    found: Sequence[tuple[Piece, Rows]],
    hidden: HiddenEvents,
) -> list[tuple[Correlation, Tally, HiddenTallies]]:
    """What each correlation would have found, and what of it is hidden; hits are the events of its alerts."""
    counted: dict[str, tuple[Tally, HiddenTallies]] = {each.id: (Tally(), {}) for each in correlations}
    if correlations:
        for firing in firings(correlations, _matches(correlations, rules, org, found)):
            _add(*counted[firing.correlation.id], firing, hidden)
    return [(each, *counted[each.id]) for each in correlations]


def as_rule(correlation: Correlation) -> Rule:
    """What a report says of a correlation, as of a rule."""
    return Rule(
        correlation.id,
        correlation.title,
        TRUE,
        (),
        level=correlation.level,
        group_by=correlation.alert_by,
        window_ms=correlation.window_ms or correlation.timespan_ms,
        life=correlation.life,
        path=correlation.path,
        line=correlation.line,
    )


def _matches(
    correlations: Sequence[Correlation], rules: Sequence[Rule], org: str, found: Sequence[tuple[Piece, Rows]]
) -> Iterator[Match]:
    members = Members({org: correlations})
    looked_at = [rule for rule in rules if members.look_at(rule)]
    paths = {"time", "metadata.uid", "metadata.tenant_uid", *_lookups(correlations)}
    for piece, rows in found:
        wanted = [(rule, rows[rule.id].tolist()) for rule in looked_at if rule.id in rows]
        union = sorted({row for _, of_rule in wanted for row in of_rule})
        if union:
            events = events_at(flat(piece.pick(union, paths), piece.class_uid), range(len(union)))
            at = dict(zip(union, events, strict=True))
            yield from (
                match for rule, of_rule in wanted for row in of_rule for match in members.matches(rule, at[row])
            )


def _lookups(correlations: Sequence[Correlation]) -> set[str]:
    lookups = [
        lookup
        for each in correlations
        for member in each.members
        for lookup in (*member.group_by, *member.value, *member.carried)
    ]
    return paths_of_fields(field.full_path for lookup in lookups if not isinstance(lookup, str) for field in lookup)


def _add(tally: Tally, gone: HiddenTallies, firing: Firing, hidden: HiddenEvents) -> None:
    values = firing.slot[1][: len(firing.correlation.alert_by)]
    for match in firing.matches:
        counted = Tally(1, Counter({match.time // _DAY_MS: 1}), alerts=Counter({(firing.slot[0], values): 1}))
        tally.merge(counted)
        if suppression := hidden.hiding(firing.correlation.id, match.uid, match.time):
            gone.setdefault(suppression.id, Tally()).merge(counted)
