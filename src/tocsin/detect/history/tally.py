"""What is counted of a rule's hits: by day, host and group, and the alerts that they would have been."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from tocsin.columnar.flat import flat
from tocsin.columnar.frame import Frame
from tocsin.conditions.following import FOLLOWING, following_text
from tocsin.detect.evaluate.texts import attribute_text, parse_source, source_texts
from tocsin.detect.history.columns import paths_of_fields
from tocsin.detect.history.scan import Rows
from tocsin.model.condition import SOURCE, Field, Scope, field_at
from tocsin.model.finding import window_start
from tocsin.model.rule import Rule
from tocsin.ports import Piece

__all__ = ["Group", "Hit", "Tally", "hits_in", "paths_of_hits"]

Group = tuple[int, tuple[str, ...]]  # start of the window, values of the group-by fields in the rule's order
_DAY_MS = 86_400_000
_NEWEST_KEPT = 1_000
_HIT = ("time", "metadata.uid", "device.uid", "device.hostname")


class Hit(msgspec.Struct, frozen=True, gc=False):
    """One event that a rule matched, as far as it is counted."""

    uid: str
    time: int
    host: str
    values: tuple[str, ...]  # of the rule's group-by fields, in their order


class Tally(msgspec.Struct):
    """The hits of one rule, counted."""

    hits: int = 0
    days: Counter[int] = msgspec.field(default_factory=Counter)  # by number of the day since the epoch
    hosts: Counter[str] = msgspec.field(default_factory=Counter)
    alerts: Counter[Group] = msgspec.field(default_factory=Counter)
    newest: list[tuple[int, str]] = []  # time and id of the latest hits, latest first; no more than are kept

    def add(self, window_ms: int, hits: Sequence[Hit]) -> None:
        """Count more; of one rule, or of anything else that has groups and windows."""
        self.newest = heapq.nlargest(_NEWEST_KEPT, [*self.newest, *((hit.time, hit.uid) for hit in hits)])
        for hit in hits:
            self.hits += 1
            self.days[hit.time // _DAY_MS] += 1
            self.hosts[hit.host] += 1
            self.alerts[window_start(hit.time, window_ms), hit.values] += 1

    def merge(self, other: Tally) -> None:
        """Count what was counted elsewhere."""
        self.hits += other.hits
        self.newest = heapq.nlargest(_NEWEST_KEPT, self.newest + other.newest)
        self.days.update(other.days)
        self.hosts.update(other.hosts)
        self.alerts.update(other.alerts)

    def without(self, others: Iterable[Tally]) -> Tally:
        """What is left when hits that were counted here are not counted; the latest are not known then."""
        gone = Tally()
        for other in others:
            gone.merge(other)
        return Tally(self.hits - gone.hits, self.days - gone.days, self.hosts - gone.hosts, self.alerts - gone.alerts)

    def emptied_by(self, gone: Tally) -> int:
        """The number of alerts of which nothing is left without those hits."""
        return sum(count == self.alerts[alert] for alert, count in gone.alerts.items())

    def values_of(self, place: int) -> Counter[str]:
        """Hits by the value of the rule's group-by field at that place."""
        found: Counter[str] = Counter()
        for (_, values), count in self.alerts.items():
            found[values[place]] += count
        return found


def paths_of_hits(rules: Iterable[Rule]) -> set[str]:
    """The columns that hits of these rules are made of."""
    return {*_HIT, *paths_of_fields(path for rule in rules for path in rule.group_by)}


def hits_in(piece: Piece, rules: Sequence[Rule], rows: Rows) -> dict[str, list[Hit]]:
    """The hits of each rule, from the numbers of its rows."""
    wanted = [rule for rule in rules if rule.id in rows]
    if not wanted:
        return {}
    union = sorted(set().union(*(of_rule.tolist() for of_rule in rows.values())))
    place = {row: at for at, row in enumerate(union)}
    table = _Texts(flat(piece.pick(union, paths_of_hits(wanted)), piece.class_uid))
    return {rule.id: table.hits(rule.group_by, [place[row] for row in rows[rule.id].tolist()]) for rule in wanted}


class _Texts:
    """The first text of each field in each row."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._columns: dict[str, list[str]] = {}
        self._times = frame.table["time"].to_pylist()
        self._uids = frame.table["metadata.uid"].to_pylist()

    def hits(self, group_by: Collection[str], rows: Sequence[int]) -> list[Hit]:
        hosts = self.of("device.hostname")
        groups = [self.of(path) for path in group_by]
        return [
            Hit(self._uids[row], self._times[row], hosts[row], tuple(column[row] for column in groups)) for row in rows
        ]

    def of(self, path: str) -> list[str]:
        if path not in self._columns:
            self._columns[path] = [next(iter(found), "") for found in self._texts(field_at(path))]
        return self._columns[path]

    def _texts(self, field: Field) -> Iterator[Iterable[str]]:
        """Row by row, as `detect.evaluate.texts` has it for single events."""
        if field.scope is Scope.SOURCE:
            originals = [None if each is None else parse_source(each) for each in self._values(SOURCE)]
            return (source_texts(each, field.path) for each in originals)
        if field.path in FOLLOWING:
            activities = self._values("activity_id")
            return ([following_text(field.path, self._frame.class_uid, int(each or 0))] for each in activities)
        values = self._values(field.path) if field.scope is Scope.ATTRIBUTE else [None] * len(self._frame)
        return ([] if each is None else [attribute_text(each)] for each in values)

    def _values(self, path: str) -> list[Any]:
        table = self._frame.table
        return table[path].to_pylist() if path in table.column_names else [None] * len(table)
