"""Engines for the sets of rules that are left of many: few engines, and none that reads much for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.columns import paths_of
from tocsin.detect.history.sieve import Sifted
from tocsin.model.rule import Rule
from tocsin.model.schema import RECORDS

__all__ = ["Engines", "together"]

_Ids = frozenset[str]


class Engines:
    """Engines that were made in a process, each with what it has learned."""

    def __init__(self, _given: None = None) -> None:
        self._of_rules: dict[_Ids, Engine] = {}

    def of(self, rules: Sequence[Rule]) -> Engine:
        """The engine of these rules."""
        ids = frozenset(rule.id for rule in rules)
        if ids not in self._of_rules:
            self._of_rules[ids] = Engine(rules)
        return self._of_rules[ids]


def together(sifted: Iterable[Sifted]) -> list[Sifted]:
    """The same pieces, some with a few more rules, so that there are fewer sets of rules; without those of none.

    A rule is only added where it makes nobody read records.
    """
    sets: list[tuple[bool, _Ids, tuple[Rule, ...]]] = []
    return [_with_more(each, sets) for each in sorted(sifted, key=lambda each: -len(each.rules)) if each.rules]


def _with_more(sifted: Sifted, sets: list[tuple[bool, _Ids, tuple[Rule, ...]]]) -> Sifted:
    """With the rules of a set that will do; else its own are a further set."""
    ids, records = frozenset(rule.id for rule in sifted.rules), _reads_records(sifted)
    for others_records, more, rules in sets:
        if others_records == records and ids <= more and len(more) <= 2 * len(ids) + 8:
            return Sifted(sifted.piece, rules)
    sets.append((records, ids, sifted.rules))
    return sifted


def _reads_records(sifted: Sifted) -> bool:
    return any(RECORDS in paths_of(rule.condition, sifted.piece.class_uid) for rule in sifted.rules)
