"""Questions about what is stored: which pieces there are, and the rules over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from msgspec.structs import replace

from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.duckdb_rows import DuckdbRows
from tocsin.adapters.pieces import FilePiece, file_pieces, hot_piece
from tocsin.config import Settings
from tocsin.detect.history.backtest import Found, backtest, search
from tocsin.detect.history.by_query import query_is_quicker, search_by_query
from tocsin.detect.history.in_force import NO_TERMS, Terms
from tocsin.detect.history.report import Report
from tocsin.detect.history.scan import Period, Progress
from tocsin.detect.history.sieve import Sifted
from tocsin.detect.life.books import RuleBooks, read_said
from tocsin.detect.sigma.library import Library
from tocsin.model.condition import Condition
from tocsin.model.rule import Rule
from tocsin.ports import Piece, Selection
from tocsin.state.engine import reading
from tocsin.state.life.suppressions import listed

__all__ = ["History", "cheapest_search", "search_with_duckdb", "terms_in_force", "where_they_apply"]


class History:
    """Everything that is kept for one org, in the lake and in the log's tail."""

    def __init__(self, query: DuckdbQuery, org: str) -> None:
        self._query, self._org = query, org

    def backtest(self, library: Library, period: Period, progress: Progress, terms: Terms = NO_TERMS) -> list[Report]:
        """What rules and correlations would have found in the period."""
        pieces = self.pieces(period, {class_uid for rule in library.rules for class_uid in rule.class_uids})
        return backtest(library, pieces, self._org, period, progress, cheapest_search, terms)

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


def terms_in_force(state: sa.Engine, settings: Settings, now_ms: int) -> Terms:
    """The suppressions of the settings' org that hide something now, and its noise budget."""
    with reading(state) as connection:
        kept = listed(connection, settings.org)
    in_force = tuple(each for each in kept if each.state(now_ms) == "in force")
    return Terms(in_force, settings.noise_budget)


def where_they_apply(library: Library, state: sa.Engine, settings: Settings) -> Library:
    """The same rules, each only for the agents that its tags and its ruleset's assignments let it apply to."""
    with reading(state) as connection:
        said = read_said(connection)
    org_rules = RuleBooks(settings.rulesets, settings.rules).org_rules(settings.org, library, said)
    return replace(library, rules=tuple(map(org_rules.narrowed, library.rules)))


def cheapest_search(rules: Sequence[Rule], sifted: Sequence[Sifted], period: Period, progress: Progress) -> Found:
    """The hits of rules, by SQL if they are few, by columns if they are many; the answer is the same."""
    in_files = [each for each in sifted if isinstance(each.piece, FilePiece)]
    way = search_with_duckdb if query_is_quicker(in_files) else search
    return way(rules, sifted, period, progress)


def search_with_duckdb(rules: Sequence[Rule], sifted: Sequence[Sifted], period: Period, progress: Progress) -> Found:
    """The hits of rules, asked of DuckDB one by one."""
    with closing(DuckdbRows()) as database:

        def ask(
            pieces: Sequence[Piece], condition: Condition, period: Period
        ) -> list[tuple[FilePiece, npt.NDArray[np.int64]]]:
            files = [piece for piece in pieces if isinstance(piece, FilePiece)]
            return database.matching(files, condition, period.since, period.until)

        return search_by_query(ask, lambda piece: isinstance(piece, FilePiece), rules, sifted, period, progress)
