"""Hits found by a query engine that reads the files itself, one condition at a time; hot rows are judged here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.backtest import Found, counted, sizes
from tocsin.detect.history.columns import paths_of
from tocsin.detect.history.scan import Period, Progress, Rows, matches_in
from tocsin.detect.history.sieve import Sifted
from tocsin.detect.history.tally import Tally
from tocsin.model.condition import Condition
from tocsin.model.rule import Rule
from tocsin.model.schema import RECORDS
from tocsin.ports import Piece

__all__ = ["Ask", "query_is_quicker", "search_by_query"]

# Of these pieces of one class, the rows in the period that satisfy the condition.
Ask = Callable[[Sequence[Piece], Condition, Period], Iterable[tuple[Piece, npt.NDArray[np.int64]]]]

# Microseconds of all cores together, measured (docs/results/backtest.md).
_PROCESSES_START_US: Final = 1_500_000
_COLUMNS_EVENT_US: Final = 1.0
_COLUMNS_RECORDS_US: Final = 3.0
_QUERY_EVENT_US: Final = 0.4
_QUERY_RECORDS_US: Final = 6.0


def query_is_quicker(sifted: Iterable[Sifted]) -> bool:
    """Does asking for one rule after the other cost less than judging all by columns?"""
    by_columns = float(_PROCESSES_START_US)
    by_query = 0.0
    for each in sifted:
        records = sum(RECORDS in paths_of(rule.condition, each.piece.class_uid) for rule in each.rules)
        if each.rules:
            by_columns += len(each) * (_COLUMNS_RECORDS_US if records else _COLUMNS_EVENT_US)
        by_query += len(each) * ((len(each.rules) - records) * _QUERY_EVENT_US + records * _QUERY_RECORDS_US)
    return by_query < by_columns


def search_by_query(
    ask: Ask,
    can_ask: Callable[[Piece], bool],
    rules: Sequence[Rule],
    sifted: Sequence[Sifted],
    period: Period,
    progress: Progress,
) -> Found:
    """As `search`, which judges all rules at once; pieces that the query engine cannot read are judged so."""
    rows: dict[int, Rows] = {}
    asked = [place for place, each in enumerate(sifted) if can_ask(each.piece)]
    steps = [
        (rule, of_step)
        for rule in rules
        for class_uid in rule.class_uids
        if (of_step := [place for place in asked if _to_ask(sifted[place], rule, class_uid)])
    ]
    total, done = sum(len(sifted[place]) for _, of_step in steps for place in of_step), 0
    for rule, of_step in steps:
        place_of = {id(sifted[place].piece): place for place in of_step}
        pieces = [sifted[place].piece for place in of_step]
        for piece, matching in ask(pieces, rule.condition, period):
            rows.setdefault(place_of[id(piece)], {})[rule.id] = matching
        done += sum(map(len, pieces))
        progress(done, total)
    engine = Engine(rules)
    for place in set(range(len(sifted))) - set(asked):
        rows[place] = matches_in(engine, sifted[place].piece, period)
    return _counted(rules, sifted, rows)


def _to_ask(sifted: Sifted, rule: Rule, class_uid: int) -> bool:
    return sifted.piece.class_uid == class_uid and any(each is rule for each in sifted.rules)


def _counted(rules: Sequence[Rule], sifted: Sequence[Sifted], rows: dict[int, Rows]) -> Found:
    found = Found({rule.id: Tally() for rule in rules}, [], sizes(sifted))
    for place in sorted(rows):
        piece = sifted[place].piece
        found.rows.append((piece, rows[place]))
        for rule_id, tally in counted(piece, rules, rows[place]).items():
            found.tallies[rule_id].merge(tally)
    return found
