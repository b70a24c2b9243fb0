"""Hits found by a query engine that reads the files itself, one condition at a time; hot rows are judged here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.backtest import Found, counted, sizes
from tocsin.detect.history.columns import paths_of
from tocsin.detect.history.scan import Period, Progress, Rows, matches_in
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


def query_is_quicker(rules: Sequence[Rule], rows: Mapping[int, int]) -> bool:
    """Does asking for one rule after the other cost less than judging all by columns? Of these rows by class."""
    by_columns = float(_PROCESSES_START_US)
    by_query = 0.0
    for class_uid, count in rows.items():
        of_class = [rule for rule in rules if class_uid in rule.class_uids]
        with_records = [rule for rule in of_class if RECORDS in paths_of(rule.condition, class_uid)]
        if of_class:
            by_columns += count * (_COLUMNS_RECORDS_US if with_records else _COLUMNS_EVENT_US)
        plain = len(of_class) - len(with_records)
        by_query += count * (plain * _QUERY_EVENT_US + len(with_records) * _QUERY_RECORDS_US)
    return by_query < by_columns


def search_by_query(
    ask: Ask,
    can_ask: Callable[[Piece], bool],
    rules: Sequence[Rule],
    pieces: Sequence[Piece],
    period: Period,
    progress: Progress,
) -> Found:
    """As `search`, which judges all rules at once; pieces that the query engine cannot read are judged so."""
    rows: dict[int, Rows] = {}
    asked = [place for place, piece in enumerate(pieces) if can_ask(piece)]
    steps = [(rule, class_uid) for rule in rules for class_uid in rule.class_uids]
    for done, (rule, class_uid) in enumerate(steps, 1):
        place_of = {id(pieces[place]): place for place in asked if pieces[place].class_uid == class_uid}
        of_class = [pieces[place] for place in place_of.values()]
        for piece, matching in ask(of_class, rule.condition, period) if of_class else ():
            rows.setdefault(place_of[id(piece)], {})[rule.id] = matching
        progress(done, len(steps))
    engine = Engine(rules)
    for place in set(range(len(pieces))) - set(asked):
        rows[place] = matches_in(engine, pieces[place], period)
    return _counted(rules, pieces, rows)


def _counted(rules: Sequence[Rule], pieces: Sequence[Piece], rows: dict[int, Rows]) -> Found:
    found = Found({rule.id: Tally() for rule in rules}, [], sizes(pieces))
    for place in sorted(rows):
        found.rows.append((pieces[place], rows[place]))
        for rule_id, tally in counted(pieces[place], rules, rows[place]).items():
            found.tallies[rule_id].merge(tally)
    return found
