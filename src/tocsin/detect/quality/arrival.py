"""Which fields that rules ask for really arrive, by what is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from tocsin.detect.sigma.logsource import find_mapping
from tocsin.model.condition import And, Condition, Exists, Field, InRecord, Match, Or, Scope
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES
from tocsin.ports import Query, Selection

__all__ = ["Arrivals", "asked_fields"]


def asked_fields(rule: Rule) -> dict[str, frozenset[Field]]:
    """The fields that a rule needs values of, by its own names for them: of each, one must arrive.

    Left out is what the log source itself asks for, and what is only looked at to leave events out.
    """
    mapping = find_mapping(rule.logsource)
    guards = {*mapping.where, *mapping.unless}
    found: defaultdict[str, set[Field]] = defaultdict(set)
    for leaf in _needed(rule.condition):
        if leaf.field.path not in guards:
            found[leaf.written.partition(":")[0].partition("|")[0] or leaf.field.path].add(leaf.field)
    return {name: frozenset(fields) for name, fields in found.items()}


def _needed(condition: Condition) -> Iterator[Match]:
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _needed(part)
        case InRecord(part):
            yield from _needed(part)
        case Match():
            yield condition


class Arrivals:
    """Asks the store whether fields have had a value in a period; each question once."""

    def __init__(self, query: Query, org: str, since_ms: int, until_ms: int) -> None:
        self._query, self._org, self._period = query, org, (since_ms, until_ms)
        self._classes: dict[int, bool] = {}
        self._fields: dict[tuple[Field, tuple[int, ...]], bool] = {}

    def fed(self, rule: Rule) -> bool:
        """Have there been events of any of the rule's classes?"""
        return bool(self._with_events(rule))

    def missing(self, rule: Rule) -> list[str]:
        """The rule's names of the fields that it needs and that never had a value."""
        classes = self._with_events(rule)
        asked = asked_fields(rule)
        return [name for name, fields in asked.items() if not any(self._arrives(field, classes) for field in fields)]

    def ask_all(self, rules: Sequence[Rule], progress: Callable[[int, int], None] = lambda _done, _total: None) -> None:
        """Ask all that these rules need, telling how far it is."""
        for done, rule in enumerate(rules, 1):
            self.missing(rule)
            progress(done, len(rules))

    def _with_events(self, rule: Rule) -> tuple[int, ...]:
        return tuple(class_uid for class_uid in rule.class_uids if self._has_events(class_uid))

    def _has_events(self, class_uid: int) -> bool:
        if class_uid not in self._classes:
            self._classes[class_uid] = self._any(None, (class_uid,))
        return self._classes[class_uid]

    def _arrives(self, field: Field, classes: tuple[int, ...]) -> bool:
        able = tuple(uid for uid in classes if field.scope is not Scope.ATTRIBUTE or field.path in CLASSES[uid].paths)
        if not able:
            return False
        if (field, able) not in self._fields:
            exists: Condition = Match(field, Exists())
            self._fields[field, able] = self._any(InRecord(exists) if field.scope is Scope.RECORD else exists, able)
        return self._fields[field, able]

    def _any(self, condition: Condition | None, classes: tuple[int, ...]) -> bool:
        return self._query.count(Selection(self._org, *self._period, condition, classes)) > 0
