"""What rules would have found in what is stored: hits by day, host and group, alerts, and what would quieten them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import msgspec
from msgspec.structs import replace

from tocsin.detect.history.correlate import as_rule, correlated
from tocsin.detect.history.engines import Engines, together
from tocsin.detect.history.in_force import NO_TERMS, Terms, hide
from tocsin.detect.history.report import Judged, Report, report
from tocsin.detect.history.scan import Period, Progress, Rows, map_pieces, matches_in
from tocsin.detect.history.sieve import Sifted, sift
from tocsin.detect.history.suppress import suppressions
from tocsin.detect.history.tally import Hit, Tally, hits_in
from tocsin.detect.sigma.library import Library
from tocsin.model.rule import Rule
from tocsin.ports import Piece

__all__ = ["Found", "Search", "backtest", "counted", "search", "sizes"]


class Found(msgspec.Struct):
    """The hits of rules: counted, and where they are."""

    tallies: dict[str, Tally]  # by rule id
    rows: list[tuple[Piece, Rows]]
    judged: dict[int, int]  # rows by class


class Search(Protocol):
    """A way to the hits of rules; all ways give the same."""

    def __call__(
        self, rules: Sequence[Rule], sifted: Sequence[Sifted], period: Period, progress: Progress
    ) -> Found: ...


class _Counted(msgspec.Struct):
    rows: Rows
    tallies: dict[str, Tally]


def backtest(
    library: Library,
    pieces: Sequence[Piece],
    org: str,
    period: Period,
    progress: Progress,
    way: Search,
    terms: Terms = NO_TERMS,
) -> list[Report]:
    """A report on each rule, in the order of the rules, and on each correlation.

    What is only there for correlations has hits and no alerts. What suppressions hide is told apart from the rest.
    """
    rules = library.rules
    found = way(rules, sift(rules, pieces), period, progress)
    told = [rule for rule in rules if rule.id not in library.silent]
    left, hidden, events = hide(terms.suppressions, rules, found.rows)
    hidden = {rule_id: gone for rule_id, gone in hidden.items() if rule_id not in library.silent}
    for rule_id in library.silent & found.tallies.keys():
        found.tallies[rule_id].alerts.clear()
    shown = {rule.id: found.tallies[rule.id].without(hidden.get(rule.id, {}).values()) for rule in told}
    proposed = suppressions(told, shown, left)
    judged = [
        Judged(rule, found.tallies.get(rule.id, Tally()), _judged(rule, found), hidden.get(rule.id, {}))
        for rule in rules
    ]
    for each, tally, gone in correlated(library.correlations, rules, org, found.rows, events):
        if each.id in library.silent:
            tally.alerts.clear()
        judged.append(Judged(as_rule(each), tally, sum(found.judged.values()), gone))
    reports = [report(each, org, period, terms, proposed.get(each.rule.id, [])) for each in judged]
    return [replace(each, silent=each.rule_id in library.silent) for each in reports]


def search(rules: Sequence[Rule], sifted: Sequence[Sifted], period: Period, progress: Progress) -> Found:
    """The hits of many rules at once, by columns: each distinct value is judged once for all rules."""
    found = Found({rule.id: Tally() for rule in rules}, [], sizes(sifted))
    for judged, result in map_pieces(partial(_count, period=period), Engines, None, together(sifted), progress):
        found.rows.append((judged.piece, result.rows))
        for rule, tally in result.tallies.items():
            found.tallies[rule].merge(tally)
    return found


def counted(piece: Piece, rules: Sequence[Rule], rows: Rows) -> dict[str, Tally]:
    """The tallies of a piece's hits."""
    by_id = {rule.id: rule for rule in rules}
    hits = hits_in(piece, rules, rows)
    return {rule_id: _tally(by_id[rule_id], of_rule) for rule_id, of_rule in hits.items()}


def _count(engines: Engines, sifted: Sifted, *, period: Period) -> _Counted:
    rows = matches_in(engines.of(sifted.rules), sifted.piece, period)
    return _Counted(rows, counted(sifted.piece, sifted.rules, rows))


def _tally(rule: Rule, hits: Sequence[Hit]) -> Tally:
    tally = Tally()
    tally.add(rule.window_ms, hits)
    return tally


def sizes(sifted: Sequence[Sifted]) -> dict[int, int]:
    """Rows by class."""
    sizes: dict[int, int] = {}
    for each in sifted:
        sizes[each.piece.class_uid] = sizes.get(each.piece.class_uid, 0) + len(each)
    return sizes


def _judged(rule: Rule, found: Found) -> int:
    return sum(found.judged.get(class_uid, 0) for class_uid in rule.class_uids)
