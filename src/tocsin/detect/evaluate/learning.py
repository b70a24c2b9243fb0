"""The rules of one event class over its frames; which keys are rare is learned from the events themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from tocsin.columnar.frame import Frame
from tocsin.detect.collection import no_collection
from tocsin.detect.evaluate.cells import Rows
from tocsin.detect.evaluate.choice import chosen, guessed
from tocsin.detect.evaluate.key import Keys, keys_in
from tocsin.detect.evaluate.plan import Clauses, CompiledRule, Plan
from tocsin.detect.evaluate.sought import Sought
from tocsin.detect.evaluate.view import EventView
from tocsin.model.rule import Rule

__all__ = ["ClassRules", "Knowledge"]

# Learned anew when so many events have been seen; what comes first may not be what comes always.
_LESSONS: Final = (64, 16_384, 1_048_576)
_SAMPLE: Final = 1_024
_TIMED_ONE_IN: Final = 16


@dataclass(slots=True)
class Knowledge:
    """What is known of the events of a class, and what was built from it; outlives a change of rules."""

    seen: int = 0  # events
    rates: list[float] = field(default_factory=list)  # by key, the share of events that it is in
    # By a rule's id in memory; kept with the rule, so that its id stays its own.
    chosen: dict[int, tuple[CompiledRule, Clauses]] = field(default_factory=dict)
    sought: Sought | None = None


class ClassRules:
    """Rules that are judged together; learns as they are."""

    def __init__(self, rules: Sequence[CompiledRule], keys: Keys, known: Knowledge) -> None:
        self._rules, self._keys = rules, keys
        self.known: Final = known
        self._batches = 0
        self._plan: Plan | None = None

    def matches(self, frame: Frame) -> Iterator[tuple[Rule, Rows]]:
        """The rules that match some event of the frame, and the rows of these events."""
        lessons = sum(self.known.seen >= lesson for lesson in _LESSONS)
        self.known.seen += len(frame)
        if lessons < sum(self.known.seen >= lesson for lesson in _LESSONS):
            with no_collection():
                self._learn(frame)
        self._batches += 1
        self._plan = self._plan or self._planned()
        yield from self._plan.matches(EventView(frame), timed=self._batches % _TIMED_ONE_IN == 0)

    def _planned(self) -> Plan:
        """A plan by what is known; a rule's keys are chosen once per lesson."""
        known, all_keys = self.known, self._keys.all
        self._guess()
        for rule in self._rules:
            if id(rule) not in known.chosen:
                known.chosen[id(rule)] = rule, tuple(clause.keys for clause in chosen(rule.needed, known.rates))
        of_rules = [known.chosen[id(rule)][1] for rule in self._rules]
        numbers = dict.fromkeys(key for clauses in of_rules for keys in clauses for key in keys)
        known.sought = Sought({at: all_keys[at] for at in numbers}, known.sought.built if known.sought else {})
        return Plan(self._rules, of_rules, known.sought)

    def _guess(self) -> None:
        """Rates of keys that are new."""
        self.known.rates += map(guessed, self._keys.all[len(self.known.rates) :])

    def _learn(self, frame: Frame) -> None:
        self._guess()
        numbers = dict.fromkeys(key for rule in self._rules for key in keys_in(rule.needed))
        sample = _sample(frame)
        found = Sought({at: self._keys.all[at] for at in numbers}).find(EventView(sample))
        for at in numbers:
            # What was not seen is rarer than what could have been seen, and long texts are the rarest.
            rate = (len(found.get(at, ())) + guessed(self._keys.all[at])) / (len(sample) + 1)
            self.known.rates[at] = (rate + self.known.rates[at]) / 2 if self.known.seen > _LESSONS[1] else rate
        self.known.chosen = {}
        self._plan = None


def _sample(frame: Frame) -> Frame:
    """Some of a large frame's events; records cannot be taken apart, so that a frame with records is taken whole."""
    if len(frame) <= _SAMPLE or frame.records is not None:
        return frame
    table = frame.table.take(pa.array(np.linspace(0, len(frame) - 1, _SAMPLE).astype(np.int64)))
    columns = [_compact(column.combine_chunks()) for column in table.columns]
    return Frame(frame.class_uid, pa.table(columns, names=table.column_names))


def _compact(column: pa.Array) -> pa.Array:
    """Without the dictionary's values that no row has."""
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
