"""Why an event does or does not match: every term with its verdict and the value seen, and the nearest miss.

Each verdict is the reference evaluator's own, so that an explanation cannot disagree with it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from math import inf
from typing import Final

import msgspec

from tocsin.conditions.literal import passes
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.evaluate.texts import keyword_texts, record_fields, texts
from tocsin.detect.quality.flip import Fields, Flip, distance, flips
from tocsin.detect.quality.selections import Named
from tocsin.detect.sigma.logsource import Mapping, find_mapping
from tocsin.model.condition import And, Condition, InRecord, Keyword, Leaf, Match, Not, Or, SameAs, leaves
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES

__all__ = ["Explanation", "Kind", "Missing", "Seen", "Step", "explain", "rank"]

_LONGEST: Final = 200  # characters of a value that are shown
_MOST_SEEN: Final = 5


class Kind(enum.StrEnum):
    """What makes a step hold."""

    ALL = "all"
    ANY = "any"
    NOT = "not"
    RECORD = "record"  # one and the same audit record
    TERM = "term"


class Seen(msgspec.Struct, frozen=True):
    """A value that a term looked at."""

    field: str
    value: str


class Step(msgspec.Struct, frozen=True):
    """One node of a condition, judged."""

    kind: Kind
    holds: bool
    name: str = ""  # the selection's name, or the term as the rule says it
    line: int = 0
    seen: tuple[Seen, ...] = ()  # of a term: what it looked at; nothing: the field is missing
    parts: tuple[Step, ...] = ()


class Missing(msgspec.Struct, frozen=True):
    """A term that would have to turn out the other way."""

    term: str
    field: str
    must_hold: bool
    seen: tuple[Seen, ...]


class Explanation(msgspec.Struct, frozen=True):
    """A rule's verdict on an event, and how it comes about."""

    rule_id: str
    rule_title: str
    path: str
    line: int
    matches: bool
    event_class: str
    right_class: bool  # is the event of a class that the rule is about?
    logsource: str
    # What keeps the event from being of the rule's log source, although it is of the right class.
    other_source: tuple[Missing, ...]
    tree: Step
    # The fewest terms that would have to turn out the other way, to match; none if no turning of terms would do.
    missing: tuple[Missing, ...] | None


def explain(rule: Rule, event: Event, selections: Sequence[Named] = (), mapping: Mapping | None = None) -> Explanation:
    """Judge an event by a rule and say why; selections are shown by name.

    The mapping is the one that the rule was loaded with, if not its log source's.
    """
    right_class = event.class_uid in rule.class_uids
    matched = holds(rule.condition, event)
    judge = _Judge(event, {each.condition: each for each in reversed(selections)})
    fewest = flips(rule.condition, event)
    event_class = CLASSES.get(event.class_uid)
    return Explanation(
        rule_id=rule.id,
        rule_title=rule.title,
        path=rule.path,
        line=rule.line,
        matches=right_class and matched,
        event_class=event_class.caption if event_class else str(event.class_uid),
        right_class=right_class,
        logsource=str(rule.logsource),
        other_source=tuple(_failed(event, mapping or find_mapping(rule.logsource))) if right_class else (),
        tree=judge.step(rule.condition, None),
        missing=None if fewest is None else tuple(_missing(event, flip) for flip in fewest),
    )


def _failed(event: Event, mapping: Mapping) -> Iterator[Missing]:
    """The log source's own conditions that the event fails; each names one attribute."""
    for guard in mapping.guards():
        if not holds(guard, event):
            (path, *_), terms = zip(*((_place(leaf), written(leaf)) for leaf in leaves(guard)), strict=True)
            seen = tuple(each for leaf in leaves(guard) for each in _seen(event, leaf, None))
            yield Missing(" or ".join(terms), path, not isinstance(guard, Not), tuple(dict.fromkeys(seen)))


def _missing(event: Event, flip: Flip) -> Missing:
    return Missing(written(flip.leaf), _place(flip.leaf), flip.must_hold, _seen(event, flip.leaf, flip.record))


def written(leaf: Leaf) -> str:
    """The term as the rule says it."""
    return leaf.written or (leaf.field.full_path if isinstance(leaf, Match) else "keyword")


class _Judge:
    """Turns a condition into judged steps, for one event."""

    def __init__(self, event: Event, named: dict[Condition, Named]) -> None:
        self._event, self._named = event, named

    def step(self, condition: Condition, record: Fields | None) -> Step:
        verdict = holds(condition, self._event, record)
        named = self._named.get(condition)
        name, line = (named.name, named.line) if named else ("", 0)
        match condition:
            case And(parts):
                return Step(Kind.ALL, verdict, name, line, parts=self._steps(parts, record))
            case Or(parts):
                return Step(Kind.ANY, verdict, name, line, parts=self._steps(parts, record))
            case Not(part):
                return Step(Kind.NOT, verdict, name, line, parts=(self.step(part, record),))
            case InRecord(part):
                chosen = self._record(part)
                if chosen is None:
                    return Step(Kind.RECORD, verdict, name or "no audit record", line)
                kind = f"{chosen['type']} record"
                return Step(Kind.RECORD, verdict, name or kind, line, parts=(self.step(part, chosen),))
            case _:
                term = Step(Kind.TERM, verdict, written(condition), seen=_seen(self._event, condition, record))
                return Step(Kind.ALL, verdict, name, line, parts=(term,)) if named else term

    def _steps(self, parts: tuple[Condition, ...], record: Fields | None) -> tuple[Step, ...]:
        return tuple(self.step(part, record) for part in parts)

    def _record(self, part: Condition) -> Fields | None:
        """The record that satisfies the part, or else the one that comes nearest to it."""
        records = [record_fields(record) for record in self._event.records]
        return min(records, key=lambda record: distance(part, self._event, record), default=None)


def rank(rule: Rule, event: Event) -> tuple[float, float]:
    """How far an event is from matching, to be compared; one of another class is further than any other."""
    return distance(rule.condition, event) if event.class_uid in rule.class_uids else (inf, inf)


def _place(leaf: Leaf) -> str:
    return leaf.field.full_path if isinstance(leaf, Match) else "any text"


def _seen(event: Event, leaf: Leaf, record: Fields | None) -> tuple[Seen, ...]:
    """The values that a term looked at; of a keyword, which looks at everything, only what made it hold."""
    found = [Seen(path, _short(text)) for path, text in _looked_at(event, leaf, record)]
    return tuple(found[:_MOST_SEEN])


def _looked_at(event: Event, leaf: Leaf, record: Fields | None) -> Iterator[tuple[str, str]]:
    if isinstance(leaf, Match):
        yield from ((leaf.field.full_path, text) for text in texts(event, leaf.field, record))
        if isinstance(leaf.test, SameAs):
            yield from ((leaf.test.other.full_path, text) for text in texts(event, leaf.test.other, record))
    else:
        yield from _keyword_hits(event, leaf, record)


def _keyword_hits(event: Event, leaf: Keyword, record: Fields | None) -> Iterator[tuple[str, str]]:
    searched = keyword_texts(event) if record is None else iter(record.items())
    yield from ((path, text) for path, text in searched if passes(leaf.test, text))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
