"""The condition tree: what Sigma rules, search filters and suppressions all become.

A condition is true or false of one event; there is no third value, so `Not` is always the exact opposite. It is given
meaning by three evaluators that must agree: `detect.evaluate.naive` (the reference), `detect.evaluate` over columns,
and `conditions.render_sql` over the lake.

What a leaf looks at: a field has zero or more *texts* in an event.

- Missing and null are the same: no text. An empty string is a text.
- An integer's text is its decimal form, a boolean's `true` or `false`; a JSON attribute is one text, as stored.
- In an original (`unmapped.source`) a path runs through lists, so that it may give many texts; the text of an object,
  or of a list within a list, is its compact JSON.
- A leaf is true if *any* text passes its test, each leaf for itself. `Exists` passes every text.
- `Not` of a leaf is therefore true where the field is missing.

Letter case: unless `cased`, texts are compared after `fold`, Unicode's simple case folding (one character becomes one
character: the three sigmas are equal, `ß` and `ss` are not).

Numbers: a text is a number if it matches `NUMBER`; numbers are compared as 64-bit floats, anything else is unequal.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as declare
from functools import cache
from typing import Final

from tocsin.model.schema import CLASSES, RECORDS, Kind

__all__ = [
    "FALSE",
    "NUMBER",
    "SOURCE",
    "TRUE",
    "And",
    "Cidr",
    "Compare",
    "Condition",
    "Exists",
    "Field",
    "Glob",
    "InRecord",
    "Keyword",
    "Leaf",
    "Match",
    "Not",
    "Number",
    "Or",
    "Regex",
    "Relation",
    "SameAs",
    "Scope",
    "Test",
    "Text",
    "TextTest",
    "TimePart",
    "TimeUnit",
    "Wildcard",
    "field_at",
    "fold",
    "fold_table",
    "keyword_paths",
    "leaves",
    "within_record",
]

SOURCE: Final = "unmapped.source"
NUMBER: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,19})?", re.ASCII)
# No character above has a simple case folding; a test holds this against the interpreter's Unicode tables.
_LAST_CASED: Final = 0x1E943


class Scope(enum.Enum):
    """Where a field's path starts."""

    ATTRIBUTE = ""  # the event: a dotted path of the schema
    RECORD = RECORDS  # one record of the source, inside InRecord only: the record's key; `type` is its type
    SOURCE = SOURCE  # the original event of a JSON source: a dotted path in it

    __hash__ = object.__hash__  # an enum's own is written in Python, and fields are hashed by the hundred thousand


@dataclass(frozen=True, slots=True)
class Field:
    """A place in an event that leaves look at."""

    path: str
    scope: Scope = Scope.ATTRIBUTE

    @property
    def full_path(self) -> str:
        """The path as search and findings write it."""
        return f"{self.scope.value}.{self.path}" if self.scope.value else self.path


class Relation(enum.StrEnum):
    """How a text relates to a literal, or to another field's text."""

    EQUALS = "equals"
    CONTAINS = "contains"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"


class Compare(enum.StrEnum):
    """How a number relates to a literal."""

    EQUALS = "="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="


class TimeUnit(enum.StrEnum):
    """A part of a point in time."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"  # of the month
    WEEK = "week"  # of the year, as ISO 8601 numbers them: 1 to 53
    MONTH = "month"
    YEAR = "year"


class Glob(enum.Enum):
    """A wildcard between the plain parts of a pattern."""

    ANY = "*"  # any number of characters, newlines too
    ONE = "?"  # exactly one character


@dataclass(frozen=True, slots=True)
class Text:
    """The text equals, contains, starts or ends with a literal."""

    relation: Relation
    value: str
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The whole text is the parts in order, wildcards among them."""

    parts: tuple[str | Glob, ...]
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """An RE2 pattern is found somewhere in the text; letter case counts unless `ignore_case`."""

    pattern: str
    ignore_case: bool = False
    multiline: bool = False
    dot_all: bool = False


@dataclass(frozen=True, slots=True)
class Cidr:
    """The text is an IP address within the network, e.g. `10.0.0.0/8`; never an address of the other version."""

    network: str


@dataclass(frozen=True, slots=True)
class Number:
    """The text is a number that compares so with the literal."""

    compare: Compare
    value: float


@dataclass(frozen=True, slots=True)
class TimePart:
    """The text is a point in time, and this part of it compares so with the literal; see `conditions.time_part`."""

    unit: TimeUnit
    compare: Compare
    value: float


@dataclass(frozen=True, slots=True)
class Exists:
    """Any text passes, the empty one too; `Not` of it is "is null"."""


@dataclass(frozen=True, slots=True)
class SameAs:
    """The text relates so to some text of another field of the same scope."""

    other: Field
    relation: Relation = Relation.EQUALS
    cased: bool = False


TextTest = Text | Wildcard | Regex
Test = Text | Wildcard | Regex | Cidr | Number | TimePart | Exists | SameAs


@dataclass(frozen=True, slots=True)
class Match:
    """Some text of the field passes the test; `written` is the term as a person wrote it."""

    field: Field
    test: Test
    written: str = declare(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Keyword:
    """Some text of any searched field passes the test.

    Inside InRecord: all values of the record, and its type. Outside: the attributes of `keyword_paths`, and every
    value in the original event; records are not searched.
    """

    test: TextTest
    written: str = declare(default="", compare=False)


@dataclass(frozen=True, slots=True)
class And:
    """All parts are true; of nothing: true."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part is true; of nothing: false."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is false."""

    part: Condition


@dataclass(frozen=True, slots=True)
class InRecord:
    """Some single record of the event's source satisfies the part; false where there are no records. Never nested."""

    part: Condition


Leaf = Match | Keyword
Condition = And | Or | Not | InRecord | Match | Keyword

TRUE: Final = And(())
FALSE: Final = Or(())


@cache
def fold_table() -> dict[int, int]:
    """Code point -> code point, for every character that simple case folding changes."""
    table = {}
    for point in range(_LAST_CASED + 1):
        character = chr(point)
        folded = character.casefold()
        # Where full folding gives several characters, simple folding is the lower-case letter, if that is one.
        simple = folded if len(folded) == 1 else character.lower()
        if len(simple) == 1 and simple != character:
            table[point] = ord(simple)
    return table


def fold(text: str) -> str:
    """The text with letter case taken away; as long as before, and folding it again changes nothing."""
    return text.lower() if text.isascii() else text.translate(fold_table())


@cache
def field_at(path: str) -> Field:
    """The field of a full path, as search writes it: an attribute, a record's key, or a path in the original."""
    for scope in (Scope.RECORD, Scope.SOURCE):
        if path.startswith(f"{scope.value}."):
            return Field(path[len(scope.value) + 1 :], scope)
    return Field(path)


@cache
def keyword_paths(class_uid: int) -> tuple[str, ...]:
    """The attributes of a class that keywords are searched in: strings, but none that Tocsin itself makes up."""
    return tuple(
        a.path
        for a in CLASSES[class_uid].attributes
        if a.kind is Kind.STRING
        and not a.path.startswith(("metadata.", "device.", "unmapped.audit."))
        and not a.path.endswith(".uid")
    )


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Every leaf of the tree, left to right."""
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part) | InRecord(part):
            yield from leaves(part)
        case _:
            yield condition


def within_record(condition: Condition) -> bool:
    """Does any leaf look at a record's own fields?"""
    return any(isinstance(leaf, Match) and leaf.field.scope is Scope.RECORD for leaf in leaves(condition))
