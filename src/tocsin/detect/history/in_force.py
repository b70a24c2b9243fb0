"""What keeps hits from being told: suppressions that are in force, and noise budgets.

Of several suppressions the first that was added hides an event, as in `alert.silence`. Correlations look at all hits,
hidden or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

import msgspec
import numpy as np
import numpy.typing as npt

from tocsin.columnar.flat import flat
from tocsin.conditions.parse_sql import parse_filter
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.columns import paths_of
from tocsin.detect.history.scan import Rows
from tocsin.detect.history.tally import Tally, hits_in
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES
from tocsin.ports import Piece
from tocsin.state.life.suppressions import Suppression

__all__ = ["NO_TERMS", "HiddenEvents", "HiddenTallies", "Terms", "hide", "hiding"]

HiddenTallies = dict[str, Tally]  # by the suppression's id


class Terms(msgspec.Struct, frozen=True):
    """What is in force beside the rules."""

    suppressions: tuple[Suppression, ...] = ()
    noise_budget: int = 0  # alerts a day, of rules that say nothing; 0 is no limit


NO_TERMS = Terms()


class HiddenEvents(msgspec.Struct):
    """Which events the expressions of suppressions hold for: all of them, by the event's id."""

    by_uid: dict[str, list[Suppression]] = {}

    def hiding(self, rule_id: str, uid: str, time: int) -> Suppression | None:
        """The suppression that hides that event as one of that rule or correlation."""
        return hiding(self.by_uid.get(uid, ()), rule_id, time)


def hiding(holding: Iterable[Suppression], rule_id: str, time: int) -> Suppression | None:
    """The first of those whose expression holds that also hides what is of that rule and time."""
    return next((each for each in holding if each.rule_id in ("", rule_id) and time < each.expires_at), None)


def hide(
    suppressions: Iterable[Suppression], rules: Sequence[Rule], found: Iterable[tuple[Piece, Rows]]
) -> tuple[list[tuple[Piece, Rows]], dict[str, HiddenTallies], HiddenEvents]:
    """The hits that are left; those that are hidden, counted by rule and suppression; and the events."""
    ordered = sorted(suppressions, key=attrgetter("created_at", "id"))
    tried = [
        Rule(str(number), "", parse_filter(each.expression), tuple(CLASSES)) for number, each in enumerate(ordered)
    ]
    curtain = _Curtain(ordered, Engine(tried), {rule.id: rule for rule in rules})
    left = [(piece, curtain.drawn(piece, rows)) for piece, rows in found]
    return left, curtain.tallies, curtain.events


class _Curtain:
    def __init__(self, suppressions: Sequence[Suppression], engine: Engine, rules: Mapping[str, Rule]) -> None:
        self._suppressions, self._engine, self._rules = suppressions, engine, rules
        self.tallies: dict[str, HiddenTallies] = {}
        self.events = HiddenEvents()

    def drawn(self, piece: Piece, rows: Rows) -> Rows:
        """The rows that are left."""
        if not rows or not self._suppressions:
            return rows
        union = np.unique(np.concatenate(list(rows.values())))
        holding = self._holding(piece, union)
        kept = {rule: self._kept(piece, self._rules[rule], of_rule, holding) for rule, of_rule in rows.items()}
        return {rule: of_rule for rule, of_rule in kept.items() if len(of_rule)}

    def _holding(self, piece: Piece, union: npt.NDArray[np.int64]) -> dict[int, list[Suppression]]:
        """By row, the suppressions whose expressions hold, in their order."""
        conditions = [rule.condition for rule in self._engine.rules]
        paths = {"time", "metadata.uid"}.union(*(paths_of(each, piece.class_uid) for each in conditions))
        frame = flat(piece.pick(union.tolist(), paths), piece.class_uid)
        uids = frame.table["metadata.uid"]
        holding: dict[int, list[Suppression]] = {}
        for tried, matching in self._engine.matches(frame):
            for at in matching:
                suppression = self._suppressions[int(tried.id)]
                holding.setdefault(int(union[at]), []).append(suppression)
                self.events.by_uid.setdefault(uids[at].as_py(), []).append(suppression)
        return holding

    def _kept(
        self, piece: Piece, rule: Rule, rows: npt.NDArray[np.int64], holding: Mapping[int, Sequence[Suppression]]
    ) -> npt.NDArray[np.int64]:
        concerned = [row for row in rows.tolist() if row in holding]
        if not concerned:
            return rows
        gone = []
        hits = hits_in(piece, [rule], {rule.id: np.array(concerned, np.int64)})[rule.id]
        for row, hit in zip(concerned, hits, strict=True):
            if suppression := hiding(holding[row], rule.id, hit.time):
                gone.append(row)
                of_rule = self.tallies.setdefault(rule.id, {})
                of_rule.setdefault(suppression.id, Tally()).add(rule.window_ms, [hit])
        return rows[~np.isin(rows, gone)]
