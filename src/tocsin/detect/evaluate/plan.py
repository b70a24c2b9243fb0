"""The rules of one event class: which keys to look for, and which events to judge when they are found."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tocsin.detect.evaluate.cells import Mask, Rows
from tocsin.detect.evaluate.key import Keys, Needed
from tocsin.detect.evaluate.node import Node, compiled, every, parts_of
from tocsin.detect.evaluate.scan import Found
from tocsin.detect.evaluate.sought import Sought
from tocsin.detect.evaluate.view import EventView
from tocsin.model.condition import Match, Scope, leaves
from tocsin.model.rule import Rule

__all__ = ["Clauses", "CompiledRule", "Cost", "Plan", "compile_rule"]

_FEW: Final = 24  # rows that are judged one by one; of more, all at once

Clauses = tuple[frozenset[int], ...]


@dataclass(slots=True)
class Cost:
    """What a rule has cost so far."""

    judged: int = 0  # events in which its keys were found
    matched: int = 0
    timed_judged: int = 0  # of those, so many were timed
    timed_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule, ready to be judged.

    parts: what must all hold, each with the keys of which one is found exactly where it holds, if there are such.
    """

    rule: Rule
    parts: tuple[tuple[Node, frozenset[int] | None], ...]
    needed: Needed
    looks_at: frozenset[Scope | None]  # None: wherever keywords are searched
    cost: Cost = field(default_factory=Cost)
    _left: dict[Clauses, Node | None] = field(default_factory=dict)

    def left(self, clauses: Clauses) -> Node | None:
        """What remains to be judged where a key of each clause was found; None if nothing does."""
        if clauses not in self._left:
            parts = [node for node, keys in self.parts if keys is None or keys not in clauses]
            self._left[clauses] = every(parts) if parts else None
        return self._left[clauses]


def compile_rule(rule: Rule, keys: Keys) -> CompiledRule:
    """The rule with its condition as nodes, and what it needs."""
    parts = tuple((compiled(part), keys.exact(part)) for part in parts_of(rule.condition))
    looks_at = frozenset(leaf.field.scope if isinstance(leaf, Match) else None for leaf in leaves(rule.condition))
    return CompiledRule(rule, parts, keys.needed(rule.condition), looks_at)


class Plan:
    """For each rule the clauses that were chosen by how often their keys are found."""

    def __init__(self, rules: Sequence[CompiledRule], clauses: Sequence[Clauses], sought: Sought) -> None:
        self._rules, self._clauses = rules, clauses
        self.sought: Final = sought
        self._rules_of_key: dict[int, list[int]] = {}
        for at, of_rule in enumerate(clauses):
            for key in of_rule[0] if of_rule else ():
                self._rules_of_key.setdefault(key, []).append(at)
        self._always = [at for at, of_rule in enumerate(clauses) if not of_rule]

    def matches(self, view: EventView, *, timed: bool) -> Iterator[tuple[Rule, Rows]]:
        """The rules that match, in their order, and the rows where they do."""
        found = self.sought.find(view)
        candidates = self._candidates(found, len(view.frame))
        masks: dict[frozenset[int], Mask] = {}
        for at in sorted(candidates):
            rule, rows = self._rules[at], candidates[at]
            started = time.perf_counter() if timed else 0.0
            for clause in self._clauses[at][1:]:
                if clause not in masks:
                    masks[clause] = _mask(clause, found, len(view.frame))
                rows = rows[masks[clause][rows]]
            # In JSON that is not taken apart, keys are found too often.
            if len(rows) and (left := rule.left(self._clauses[at] if rule.looks_at.isdisjoint(view.vague) else ())):
                rows = _judged(left, view, rows)
            rule.cost.judged += len(candidates[at])
            if timed:
                rule.cost.timed_s += time.perf_counter() - started
                rule.cost.timed_judged += len(candidates[at])
            if len(rows):
                rule.cost.matched += len(rows)
                yield rule.rule, rows

    def _candidates(self, found: Found, length: int) -> dict[int, Rows]:
        pieces: dict[int, list[Rows]] = {}
        for key, rows in found.items():
            for at in self._rules_of_key.get(key, ()):
                pieces.setdefault(at, []).append(rows)
        candidates = {at: some[0] if len(some) == 1 else np.unique(np.concatenate(some)) for at, some in pieces.items()}
        if self._always:
            every = np.arange(length)
            candidates |= dict.fromkeys(self._always, every)
        return candidates


def _mask(clause: frozenset[int], found: Found, length: int) -> Mask:
    mask = np.zeros(length, np.bool_)
    for key in clause:
        if key in found:
            mask[found[key]] = True
    return mask


def _judged(node: Node, view: EventView, rows: Rows) -> Rows:
    """Those of the rows in which the node holds."""
    if len(rows) > _FEW:
        return rows[node.among(view, rows)]
    holds = node.holds
    return rows[[holds(view, row) for row in rows.tolist()]]
