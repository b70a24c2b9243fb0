"""Suppressions that would quieten a rule, each held against all of its hits.

What is proposed rests on a sample of the hits; what it would have removed is counted over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.columnar.flat import flat
from tocsin.columnar.frame import events_at
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.columns import paths_of
from tocsin.detect.history.report import Suppression
from tocsin.detect.history.scan import Rows
from tocsin.detect.history.tally import Tally, hits_in
from tocsin.detect.quality.propose import Attributes, Proposal, attributes, propose
from tocsin.detect.quality.stable import stability
from tocsin.model.condition import SOURCE, Match, Or, leaves
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES
from tocsin.ports import Piece

__all__ = ["suppressions"]

_FEW_ALERTS: Final = 3  # fewer are looked at sooner than suppressed
_SAMPLE: Final = 1_000  # hits of one rule that proposals are made from
_PIECES: Final = 48  # that samples are read from
_MOST: Final = 5
_NOISIEST: Final = 40  # rules that proposals are made for; the others have fewer alerts


def suppressions(
    rules: Sequence[Rule], tallies: Mapping[str, Tally], found: Sequence[tuple[Piece, Rows]]
) -> dict[str, list[Suppression]]:
    """For each noisy rule, by id, what would have removed most alerts, most first."""
    noisy = [rule for rule in rules if len(tallies[rule.id].alerts) >= _FEW_ALERTS]
    noisy = sorted(noisy, key=lambda rule: -len(tallies[rule.id].alerts))[:_NOISIEST]
    samples = _samples(noisy, found)
    return {rule.id: _held_against(rule, _proposals(rule, samples[rule.id]), tallies[rule.id], found) for rule in noisy}


def _proposals(rule: Rule, sample: Sequence[Attributes]) -> list[Proposal]:
    """Proposals that say more than the rule itself: a value that it asks for and every hit has is left out."""
    asked = {leaf.field.full_path for leaf in leaves(rule.condition) if isinstance(leaf, Match)}
    for path in asked:
        if len({event.get(path) for event in sample}) == 1:
            sample = [{key: value for key, value in event.items() if key != path} for event in sample]
    return propose(sample, most=_MOST)


def _samples(rules: Sequence[Rule], found: Sequence[tuple[Piece, Rows]]) -> dict[str, list[Attributes]]:
    """Hits of each rule with what proposals may name, from all over the period."""
    with_hits = [(piece, rows) for piece, rows in found if any(rule.id in rows for rule in rules)]
    step = max(1, len(with_hits) // _PIECES)
    chosen = with_hits[::step]
    samples: dict[str, list[Attributes]] = {rule.id: [] for rule in rules}
    for piece, rows in chosen:
        picked = {rule.id: _spread(rows[rule.id], -(-_SAMPLE // len(chosen))) for rule in rules if rule.id in rows}
        for rule_id, events in _attributes(piece, picked).items():
            samples[rule_id] += events
    return samples


def _spread(rows: npt.NDArray[np.int64], count: int) -> list[int]:
    chosen: list[int] = rows[:: max(1, len(rows) // count)][:count].tolist()
    return chosen


def _attributes(piece: Piece, rows: Mapping[str, list[int]]) -> dict[str, list[Attributes]]:
    union = sorted(set().union(*rows.values()))
    if not union:
        return {}
    useful = {a.path for a in CLASSES[piece.class_uid].attributes if stability(a.path)} | {"time", SOURCE}
    frame = flat(piece.pick(union, useful), piece.class_uid)
    events = events_at(frame, range(len(union)))
    place = {row: at for at, row in enumerate(union)}
    return {rule: [attributes(events[place[row]].values) for row in of_rule] for rule, of_rule in rows.items()}


def _held_against(
    rule: Rule, proposals: Sequence[Proposal], tally: Tally, found: Sequence[tuple[Piece, Rows]]
) -> list[Suppression]:
    choices = [(each.expression, each.condition) for each in proposals]
    if len(choices) > 1:
        # An alert of many causes is gone only when all of them are.
        together = " OR ".join(f"({expression})" for expression, _ in choices)
        choices.append((together, Or(tuple(condition for _, condition in choices))))
    tried = [Rule(str(number), "", each, rule.class_uids) for number, (_, each) in enumerate(choices)]
    engine = Engine(tried)
    removed = [Tally() for _ in choices]
    for piece, rows in found:
        if rule.id in rows:
            _remove(rule, piece, rows[rule.id].tolist(), engine, removed)
    made = [
        Suppression(expression, gone.hits, tally.emptied_by(gone))
        for (expression, _), gone in zip(choices, removed, strict=True)
    ]
    return sorted(made, key=lambda each: (-each.alerts, len(each.expression), -each.hits))


def _remove(rule: Rule, piece: Piece, rows: Sequence[int], engine: Engine, removed: Sequence[Tally]) -> None:
    """Count what each proposal removes of one piece's hits."""
    paths = {"time"}.union(*(paths_of(tried.condition, piece.class_uid) for tried in engine.rules))
    frame = flat(piece.pick(rows, paths), piece.class_uid)
    numbers = np.array(rows, np.int64)
    for tried, matching in engine.matches(frame):
        hits = hits_in(piece, [rule], {rule.id: numbers[matching]})[rule.id]
        removed[int(tried.id)].add(rule.window_ms, hits)
