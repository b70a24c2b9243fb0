"""Questions about what is stored: which pieces there are, and the rules over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.pieces import file_pieces, hot_piece
from tocsin.detect.history.backtest import backtest, search
from tocsin.detect.history.report import Report
from tocsin.detect.history.scan import Period, Progress
from tocsin.model.rule import Rule
from tocsin.ports import Piece, Selection

__all__ = ["History"]


class History:
    """Everything that is kept for one org, in the lake and in the log's tail."""

    def __init__(self, query: DuckdbQuery, org: str) -> None:
        self._query, self._org = query, org

    def backtest(self, rules: Sequence[Rule], period: Period, progress: Progress) -> list[Report]:
        """What the rules would have found in the period."""
        pieces = self.pieces(period, {class_uid for rule in rules for class_uid in rule.class_uids})
        return backtest(rules, pieces, self._org, period, progress, search)

    def pieces(self, period: Period, class_uids: Iterable[int] = ()) -> list[Piece]:
        """Everything kept of these classes, or of all, that can be of the period; files and hot rows of one moment."""
        selection = Selection(self._org, period.since, period.until, class_uids=tuple(sorted(class_uids)))
        found: list[Piece] = []
        for source in self._query.sources(selection):
            for path in source.plan.select(self._org, period.since, period.until):
                found += file_pieces(source.class_uid, str(path), period.since, period.until)
            if len(hot := hot_piece(source.class_uid, source.hot, self._org)):
                found.append(hot)
        return found
