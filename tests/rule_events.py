"""Events made for conditions: what a rule's terms ask for, written into attributes, records and an original."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from re import _constants as constants  # type: ignore[attr-defined]  # no public way to see a parsed pattern
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import msgspec

from tocsin.conditions.literal import passes
from tocsin.model.condition import (
    And,
    Cidr,
    Compare,
    Condition,
    Exists,
    Field,
    Glob,
    InRecord,
    Keyword,
    Match,
    Number,
    Or,
    Regex,
    Relation,
    SameAs,
    Scope,
    Test,
    Text,
    TimePart,
    Wildcard,
)
from tocsin.model.event import Event, Json, Value
from tocsin.model.rule import Rule
from tocsin.model.schema import Kind, attribute
from tocsin.model.wire import PlainRecord

__all__ = ["Choose", "Draft", "fitting", "made_for", "satisfy", "text_for"]

_GAP = "\x01"
Choose = Callable[[int], int]  # one of 0 .. n-1


@dataclass
class Draft:
    """An event in the making."""

    attributes: dict[str, str] = field(default_factory=dict)
    records: list[dict[str, str]] = field(default_factory=list)
    original: dict[str, str] = field(default_factory=dict)  # by path

    def source(self) -> dict[str, Json]:
        """The original, nested."""
        made: dict[str, Json] = {}
        for path, text in self.original.items():
            _put(made, path.split("."), text)
        return made

    def event(self, class_uid: int, time: int) -> Event:
        """The event; texts that an attribute's kind cannot hold are left out."""
        values: dict[str, Value] = {"time": time}
        for path, text in self.attributes.items():
            known = attribute(path)
            if known is None or known.kind is Kind.JSON:
                continue
            if known.kind is Kind.STRING:
                values[path] = text
            elif re.fullmatch(r"-?\d{1,15}", text) and path != "time":
                values[path] = int(text) != 0 if known.kind is Kind.BOOLEAN else int(text)
        if self.original:
            values["unmapped.source"] = msgspec.json.encode(self.source()).decode()
        return Event(class_uid, values, tuple(_record(each) for each in self.records))


def _record(fields: dict[str, str]) -> PlainRecord:
    rest = {key: value.replace("\0", "") for key, value in fields.items() if key != "type"}
    return PlainRecord(fields.get("type", "SYSCALL").upper(), tuple(rest), tuple(rest.values()))


def fitting(rule: Rule, chance: random.Random, time: int) -> Event:
    """An event that matches the rule, unless what one term asks for is what another forbids."""
    draft = Draft()
    satisfy(rule.condition, chance.randrange, draft)
    return draft.event(chance.choice(rule.class_uids), time)


def made_for(rule: Rule, chance: random.Random, time: int) -> Event:
    """The same with one text in twenty spoiled: an event that mostly matches the rule, or nearly does."""
    draft = Draft()
    satisfy(rule.condition, chance.randrange, draft)
    for texts in (draft.attributes, draft.original, *draft.records):
        for key in [key for key in texts if chance.random() < 0.05]:
            texts[key] = chance.choice([texts[key] + "x", "x" + texts[key], "", texts[key].upper(), "0"])
    if draft.records and chance.random() < 0.1:
        draft.records.insert(0, draft.records.pop())
    return draft.event(chance.choice(rule.class_uids), time)


def satisfy(condition: Condition, choose: Choose, draft: Draft) -> None:
    """Write into the draft what makes the condition hold; what must not hold is left alone."""
    _satisfy(condition, choose, draft, None)
    for texts in (draft.attributes, draft.original, *draft.records):
        for key in texts:
            while _GAP in texts[key]:
                texts[key] = texts[key].replace(_GAP, _filler(choose), 1)


def _satisfy(condition: Condition, choose: Choose, draft: Draft, record: dict[str, str] | None) -> None:
    match condition:
        case And(parts):
            for part in parts:
                _satisfy(part, choose, draft, record)
        case Or(parts) if parts:
            _satisfy(parts[choose(len(parts))], choose, draft, record)
        case InRecord(part):
            draft.records.append({})
            _satisfy(part, choose, draft, draft.records[-1])
        case Match(where, SameAs(other)):
            _write(where, "same", draft, record)
            _write(other, "same", draft, record)
        case Match(where, test):
            before = _place(where, draft, record).get(where.path, "")
            _write(where, _joined(before, test, text_for(test, choose)), draft, record)
        case Keyword(test):
            texts, key = (draft.attributes, "message") if record is None else (record, f"a{len(record)}")
            texts[key] = _joined(texts.get(key, ""), test, text_for(test, choose))
        case _:
            pass


def _joined(before: str, test: Test, text: str) -> str:
    """A text that still passes the earlier tests on the field, if it can be: gaps may be filled with anything."""
    if not before or passes(test, before.replace(_GAP, "")):
        return before or text
    if text.endswith(_GAP) and not text.startswith(_GAP):
        return text + before
    if text.startswith(_GAP) and not text.endswith(_GAP):
        return before + text
    return before.replace(_GAP, f"{text} {_GAP}", 1) if text.startswith(_GAP) and _GAP in before else text


def _write(where: Field, text: str, draft: Draft, record: dict[str, str] | None) -> None:
    _place(where, draft, record)[where.path] = text


def _place(where: Field, draft: Draft, record: dict[str, str] | None) -> dict[str, str]:
    if where.scope is Scope.RECORD and record is not None:
        return record
    return draft.original if where.scope is Scope.SOURCE else draft.attributes


def _put(place: dict[str, Json], keys: Sequence[str], text: str) -> None:
    for key in keys[:-1]:
        inner = place.get(key)
        if not isinstance(inner, dict):
            inner = place[key] = {}
        place = inner
    place[keys[-1]] = text


def text_for(test: Test, choose: Choose) -> str:
    """A text that passes the test, with gaps where anything may stand."""
    match test:
        case Text(relation, value, cased):
            shown = value if cased or choose(3) else value.swapcase()
            before = "" if relation in {Relation.EQUALS, Relation.STARTSWITH} else _GAP
            after = "" if relation in {Relation.EQUALS, Relation.ENDSWITH} else _GAP
            return before + shown + after
        case Wildcard(parts):
            fillers = {Glob.ANY: _GAP, Glob.ONE: "x"}
            return "".join(fillers[part] if isinstance(part, Glob) else part for part in parts)
        case Regex(pattern):
            return _GAP * ("^" not in pattern) + _match_of(list(parser.parse(pattern))) + _GAP * ("$" not in pattern)
        case Cidr(network):
            return str(ipaddress.ip_network(network)[-1])
        case Number() | TimePart():
            return _number_for(test)
        case _:
            return "anything" if isinstance(test, Exists) else ""


def _number_for(test: Number | TimePart) -> str:
    number = int(test.value) + {Compare.LESS: -1, Compare.GREATER: 1}.get(test.compare, 0)
    if isinstance(test, Number):
        return str(number)
    parts = {"month": 1, "day": 7, "hour": 7, "minute": 1, "year": 2026} | {test.unit.value: number}
    return "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z".format(**parts)


def _filler(choose: Choose) -> str:
    return ("", "x", "usr/local ", "Ünï ")[choose(4)]


def _match_of(tokens: list[tuple[Any, Any]]) -> str:
    """A text that a parsed pattern matches; written for the patterns that rules use."""
    text = ""
    for kind, argument in tokens:
        if kind is constants.LITERAL:
            text += chr(argument)
        elif kind is constants.SUBPATTERN:
            text += _match_of(list(argument[-1]))
        elif kind in {constants.MAX_REPEAT, constants.MIN_REPEAT}:
            text += _match_of(list(argument[2])) * argument[0]
        elif kind is constants.BRANCH:
            text += _match_of(list(argument[1][-1]))
        elif kind is constants.IN:
            text += _member_of(argument)
        elif kind in {constants.ANY, constants.NOT_LITERAL}:
            text += "q"
    return text


def _member_of(members: list[tuple[Any, Any]]) -> str:
    kind, argument = members[0]
    if kind is constants.NEGATE:
        return "q"
    if kind is constants.RANGE:
        return chr(argument[0])
    if kind is constants.CATEGORY:
        return {constants.CATEGORY_DIGIT: "7", constants.CATEGORY_SPACE: " "}.get(argument, "q")
    return chr(argument)
