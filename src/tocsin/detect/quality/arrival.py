"""Which fields that rules ask for really arrive, by what is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tocsin.columnar.flat import column_at, flat, flat_columns
from tocsin.columnar.frame import events_at
from tocsin.detect.evaluate.texts import texts
from tocsin.detect.history.scan import Period, Progress
from tocsin.detect.sigma.logsource import find_mapping
from tocsin.model.condition import SOURCE, And, Condition, Field, InRecord, Match, Or, Scope
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES, RECORDS
from tocsin.ports import Piece

__all__ = ["Arrivals", "asked_fields"]

_SAMPLE: Final = 5_000  # events of a class whose records and originals are looked into


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
    """What has had a value in a period, found out once for all rules.

    Attributes are looked for in everything that is stored; keys of records and paths of originals, which are no columns
    of their own, in the newest events of each class.
    """

    def __init__(self, rules: Sequence[Rule], pieces: Sequence[Piece], period: Period, progress: Progress) -> None:
        self._asked = {rule.id: asked_fields(rule) for rule in rules}
        self._seen: dict[int, set[Field]] = {}  # by class; a class without events is not in it
        wanted = self._wanted(rules)
        for done, class_uid in enumerate(sorted(wanted), 1):
            mine = [piece for piece in pieces if piece.class_uid == class_uid]
            self._look(class_uid, wanted[class_uid], sorted(mine, key=_last_time, reverse=True), period)
            progress(done, len(wanted))

    def _wanted(self, rules: Iterable[Rule]) -> dict[int, set[Field]]:
        wanted: dict[int, set[Field]] = {}
        for rule in rules:
            fields = set().union(*self._asked[rule.id].values())
            for class_uid in rule.class_uids:
                wanted.setdefault(class_uid, set()).update(fields)
        return wanted

    def _look(self, class_uid: int, wanted: set[Field], newest: Sequence[Piece], period: Period) -> None:
        attributes = {f.path for f in wanted if f.scope is Scope.ATTRIBUTE} & CLASSES[class_uid].paths
        others = {field for field in wanted if field.scope is not Scope.ATTRIBUTE}
        sampled = 0
        for piece in newest:
            rows = _rows_in(piece, attributes, period)
            if not rows.num_rows:
                continue
            seen = self._seen.setdefault(class_uid, set())
            arrived = set(flat_columns(rows, attributes).column_names)
            seen |= {Field(path) for path in arrived}
            attributes -= arrived
            if others and sampled < _SAMPLE:
                events = _newest_events(piece, _SAMPLE - sampled, period)
                sampled += len(events)
                found = {field for field in others if any(_has(event, field) for event in events)}
                seen |= found
                others -= found
            if not attributes and (not others or sampled >= _SAMPLE):
                return

    def fed(self, rule: Rule) -> bool:
        """Have there been events of any of the rule's classes?"""
        return any(class_uid in self._seen for class_uid in rule.class_uids)

    def missing(self, rule: Rule) -> list[str]:
        """The rule's names of the fields that it needs and that never had a value."""
        seen = set().union(*(self._seen.get(class_uid, ()) for class_uid in rule.class_uids))
        return [name for name, fields in self._asked[rule.id].items() if fields.isdisjoint(seen)]


def _rows_in(piece: Piece, paths: Collection[str], period: Period) -> pa.Table:
    """These paths of the piece's rows of the period."""
    rows = piece.read({*paths, "time"})
    time = column_at(rows, "time")
    return rows.filter(pc.and_(pc.greater_equal(time, period.since), pc.less(time, period.until)))


def _last_time(piece: Piece) -> int:
    return int(pc.max(column_at(piece.read({"time"}), "time")).as_py() or 0)


def _newest_events(piece: Piece, count: int, period: Period) -> list[Event]:
    """The last rows of the piece, which lie in the order of time, as events with their records and originals."""
    numbers = range(max(0, len(piece) - count), len(piece))
    frame = flat(piece.pick(numbers, {"time", SOURCE, RECORDS}), piece.class_uid)
    events = events_at(frame, range(len(numbers)))
    return [event for event in events if period.since <= int(event.values["time"]) < period.until]


def _has(event: Event, field: Field) -> bool:
    if field.scope is Scope.RECORD:
        return any(field.path == "type" or field.path in record.keys for record in event.records)
    return bool(texts(event, field, None))
