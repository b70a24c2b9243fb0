"""Why Tocsin and rsigma may differ on one rule and event.

Each reason is a change to the rule, or to the event, that takes away what the two see differently: it explains a
difference if, so changed, the reference evaluator says what rsigma said.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from typing import Final

from tocsin.detect.evaluate.naive import holds
from tocsin.detect.evaluate.texts import source_texts
from tocsin.model.condition import (
    FALSE,
    And,
    Condition,
    Exists,
    Glob,
    InRecord,
    Keyword,
    Leaf,
    Match,
    Not,
    Or,
    Relation,
    SameAs,
    Text,
    Wildcard,
    leaves,
)
from tocsin.model.event import Event, Json
from tocsin.model.rule import Rule

__all__ = ["UNEXPLAINED", "reason_for"]

UNEXPLAINED: Final = "unexplained"
_OTHER: Final = "\x02"  # exists, is not empty, and equals nothing
Case = tuple[Condition, dict[str, Json]]


def reason_for(rule: Rule, source: dict[str, Json], *, only_ours: bool) -> str:
    """The first reason, or two together, that explain why only one of the two found it."""
    for count in (1, 2):
        for reasons in combinations(_REASONS, count):
            case: Case = (rule.condition, source)
            for reason in reasons:
                case = _REASONS[reason](case)
            if _holds(case) != only_ours:
                return "; and ".join(reasons)
    return UNEXPLAINED


def _holds(case: Case) -> bool:
    condition, source = case
    return holds(condition, Event(0, {"time": 1, "unmapped.source": json.dumps(source, ensure_ascii=False)}))


def _in_event(change: Callable[[Json], Json]) -> Callable[[Case], Case]:
    """The change made to every value of the event, from the outside in."""

    def changed(case: Case) -> Case:
        condition, source = case
        return condition, {key: _each(value, change) for key, value in source.items()}

    return changed


def _each(value: Json, change: Callable[[Json], Json]) -> Json:
    changed = change(value)
    if isinstance(changed, dict):
        return {key: _each(inner, change) for key, inner in changed.items()}
    return [_each(inner, change) for inner in changed] if isinstance(changed, list) else changed


def _empty_list(value: Json) -> Json:
    return _OTHER if value == [] else value


def _letters(value: Json) -> Json:
    return value.replace("\u017f", _OTHER) if isinstance(value, str) else value


def _in_rule(change: Callable[[Leaf], Condition]) -> Callable[[Case], Case]:
    """The change made to every leaf of the rule."""
    return lambda case: (_rewritten(case[0], change), case[1])


def _rewritten(condition: Condition, change: Callable[[Leaf], Condition]) -> Condition:
    match condition:
        case And(parts):
            return And(tuple(_rewritten(part, change) for part in parts))
        case Or(parts):
            return Or(tuple(_rewritten(part, change) for part in parts))
        case Not(part):
            return Not(_rewritten(part, change))
        case InRecord(part):
            return InRecord(_rewritten(part, change))
        case _:
            return change(condition)


def _keyword_under_all(leaf: Leaf) -> Condition:
    return FALSE if isinstance(leaf, Keyword) and leaf.written.startswith("|all") else leaf


def _number_keyword(leaf: Leaf) -> Condition:
    number = isinstance(leaf, Keyword) and isinstance(leaf.test, Text) and leaf.test.value.isdigit()
    return FALSE if number else leaf


def _key(leaf: Leaf) -> str:
    return leaf.written.partition(": ")[0]


def _windash(leaf: Leaf) -> Condition:
    key, _, written = leaf.written.partition(": ")
    made = "|windash" in key and isinstance(leaf.test, Text) and leaf.test.value not in written
    return FALSE if made else leaf


def _base64offset(leaf: Leaf) -> Condition:
    return FALSE if "|base64offset" in _key(leaf) else leaf


def _wildcard_at_the_end(leaf: Leaf) -> Condition:
    """What rsigma makes of it: found at the start, whatever follows."""
    if isinstance(leaf, Match) and isinstance(leaf.test, Wildcard) and "|endswith" in _key(leaf):
        return Match(leaf.field, Wildcard((*leaf.test.parts[1:], Glob.ANY), leaf.test.cased))
    return leaf


def _neq(condition: Condition) -> Condition:
    """What rsigma makes of it: the field must be there."""
    match condition:
        case Not(part) if all(_key(leaf).endswith("|neq") for leaf in leaves(part)):
            fields = {leaf.field for leaf in leaves(part) if isinstance(leaf, Match)}
            return And((condition, *(Match(field, Exists()) for field in fields)))
        case And(parts):
            return And(tuple(map(_neq, parts)))
        case Or(parts):
            return Or(tuple(map(_neq, parts)))
        case _:
            return condition


def _null_among_others(condition: Condition) -> Condition:
    match condition:
        case Or(parts) if any(isinstance(part, Match) for part in parts):
            return Or(tuple(part for part in parts if not isinstance(part, Not)))
        case And(parts):
            return And(tuple(map(_null_among_others, parts)))
        case _:
            return condition


def _boolean(leaf: Leaf) -> Condition:
    """What rsigma makes of it: 1 is true, and 0 is false."""
    if isinstance(leaf, Match) and leaf.written.endswith((": True", ": False")):
        digit = "1" if leaf.written.endswith("True") else "0"
        return Or((leaf, Match(leaf.field, Text(Relation.EQUALS, digit))))
    return leaf


def _reference(leaf: Leaf) -> Condition:
    return FALSE if isinstance(leaf.test, SameAs) else leaf


def _bare_point(value: Json) -> Json:
    return f"0{value}" if isinstance(value, str) and value.startswith(".") else value


def _objects(case: Case) -> Case:
    def change(leaf: Leaf) -> Condition:
        if not isinstance(leaf, Match) or isinstance(leaf.test, Exists):
            return leaf
        return FALSE if any(text[:1] == "{" for text in source_texts(case[1], leaf.field.path)) else leaf

    return _in_rule(change)(case)


def _wildcard_over_lines(case: Case) -> Case:
    if "\\n" not in json.dumps(case[1]):
        return case
    return _in_rule(lambda leaf: FALSE if isinstance(leaf.test, Wildcard) or "*" in leaf.written else leaf)(case)


_REASONS: Final[dict[str, Callable[[Case], Case]]] = {
    "an object at a field is its JSON, for rsigma it passes no test": _objects,
    "an empty list is null, for rsigma it is not": _in_event(_empty_list),
    "long s differs from s in case only, for rsigma it is another letter": _in_event(_letters),
    "all over keywords: rsigma never finds them": _in_rule(_keyword_under_all),
    "a number as keyword is found within texts, by rsigma not": _in_rule(_number_keyword),
    "windash stands for five dashes, in rsigma only where the rule writes a hyphen": _in_rule(_windash),
    "base64offset: rsigma keeps a last character that depends on what follows": _in_rule(_base64offset),
    "endswith with a wildcard: rsigma looks for it at the start": _in_rule(_wildcard_at_the_end),
    "neq is the opposite of the term, for rsigma the field must be there too": lambda case: (_neq(case[0]), case[1]),
    "null among other values is a missing field too, for rsigma it is not": (
        lambda case: (_null_among_others(case[0]), case[1])
    ),
    "a reference compares every element of lists, in rsigma none": _in_rule(_reference),
    "a number has a digit before its point, for rsigma it need not": _in_event(_bare_point),
    "true and 1 are different texts, for rsigma 1 is true": _in_rule(_boolean),
    "a wildcard stands for newlines too, for rsigma it does not": _wildcard_over_lines,
}
