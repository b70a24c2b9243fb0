"""The condition tree as SQL finds what the naive evaluator finds."""

from __future__ import annotations

import sys

import duckdb
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from event_frames import frames_of
from tocsin.columnar.frame import event_at
from tocsin.columnar.nested import nested
from tocsin.conditions.fold_sql import fold_sql
from tocsin.conditions.literal import passes
from tocsin.conditions.render_sql import render_filter
from tocsin.conditions.text_sql import passes_sql
from tocsin.detect.naive import holds
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
    Not,
    Number,
    Or,
    Regex,
    Relation,
    SameAs,
    Scope,
    Test,
    Text,
    Wildcard,
    fold,
)
from tocsin.model.errors import InvalidQuery
from tocsin.model.event import Event
from tocsin.model.wire import PlainRecord

# Kelvin sign, long s, both small sigmas, dotted I: letters whose case surprises.
_ALPHABET = "aAkKsSß\u017f\u03a3\u03c2\u03c3\u0130i\u212a%_\\*?'\"\n 01.-:é"
_TEXTS = st.text(_ALPHABET, max_size=6)
_NUMBERS = [
    "0",
    "-0",
    "007",
    "7",
    "7.0",
    "-7",
    "7.",
    ".7",
    "1e3",
    "+7",
    " 7",
    "9223372036854775807",
    "99999999999999999999",
    "0x7",
]
_ADDRESSES = [
    "10.0.0.1",
    "10.0.0.256",
    "010.0.0.1",
    "10.0.0",
    "11.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "FE80::ABCD:1",
    "fe80::1%eth0",
    "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "1::2::3",
    ":1",
    "1:",
    "1:2:3:4:5:6:7:8:9",
    "::ffff:10.0.0.1",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "fe80:0:0:0::1",
    ":::",
]
_NETWORKS = ["10.0.0.0/8", "10.0.0.1/32", "0.0.0.0/0", "fe80::/10", "::/0", "::1/128", "1:2:3:4::/64"]
_PATTERNS = ["a.s", "^k", "(?i)\u017f", r"\d+$", "[^a]", "s|^$"]
_VALUES = st.one_of(_TEXTS, st.sampled_from(_NUMBERS + _ADDRESSES))
_FLAGS = st.booleans()
_LITERALS = st.builds(Text, st.sampled_from(list(Relation)), _TEXTS, _FLAGS)
_WILDCARDS = st.builds(
    Wildcard,
    st.lists(st.one_of(_TEXTS.filter(bool), st.sampled_from(list(Glob))), min_size=1, max_size=4).map(tuple),
    _FLAGS,
)
_REGEXES = st.builds(Regex, st.sampled_from(_PATTERNS), _FLAGS, _FLAGS, _FLAGS)
_TESTS: st.SearchStrategy[Test] = st.one_of(
    _LITERALS,
    _WILDCARDS,
    _REGEXES,
    st.builds(Cidr, st.sampled_from(_NETWORKS)),
    st.builds(Number, st.sampled_from(list(Compare)), st.sampled_from([0, 7, -7, 7.5, 2.0**62, 1000])),
    st.just(Exists()),
)


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    """An empty database."""
    return duckdb.connect()


@settings(max_examples=150, deadline=None)
@given(test=_TESTS, values=st.lists(_VALUES, min_size=5, max_size=20))
def test_a_test_as_sql_passes_the_same_texts(
    database: duckdb.DuckDBPyConnection, test: Test, values: list[str]
) -> None:
    """Every kind of test, on texts made to be confused with each other."""
    sql = passes_sql(test, exp.column("value")).sql(dialect="duckdb")
    database.register("texts", pa.table({"value": values}))
    found = database.execute(f"SELECT coalesce({sql}, FALSE) FROM texts").fetchall()  # noqa: S608 - rendered, as in use
    assert [passed for (passed,) in found] == [passes(test, value) for value in values]


def test_folding_in_sql_is_folding_for_every_character(database: duckdb.DuckDBPyConnection) -> None:
    """All code points at once: the engine's result is the model's."""
    characters = [chr(point) for point in range(1, sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
    sql = fold_sql(exp.column("value")).sql(dialect="duckdb")
    text = "".join(characters)
    database.register("characters", pa.table({"value": [text], "folded": [fold(text)]}))
    wrong = database.execute(f"SELECT count(*) FROM characters WHERE ({sql}) <> folded").fetchall()  # noqa: S608
    assert wrong == [(0,)]


_FIELDS = (
    Field("process.name"),
    Field("process.cmd_line"),
    Field("process.pid"),
    Field("dst_endpoint.ip"),  # no attribute of the class
    Field("no.such.path"),
    Field("a.b", Scope.SOURCE),
    Field("a", Scope.SOURCE),
)
_KEYS = (Field("a0", Scope.RECORD), Field("type", Scope.RECORD), Field("pid#2", Scope.RECORD), Field("process.name"))


def _tree(leaves: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda parts: And(tuple(parts))),
            st.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts))),
            inner.map(Not),
        ),
        max_leaves=4,
    )


def _leaves(fields: tuple[Field, ...]) -> st.SearchStrategy[Condition]:
    field = st.sampled_from(fields)
    same = st.builds(SameAs, field, st.sampled_from(list(Relation)), _FLAGS)
    keyword = st.one_of(_LITERALS.filter(lambda test: test.relation is Relation.CONTAINS), _WILDCARDS, _REGEXES)
    return st.one_of(
        st.builds(Match, field, _TESTS),
        st.builds(Match, field, same),
        st.builds(Keyword, keyword),
    )


_CONDITIONS = _tree(st.one_of(_leaves(_FIELDS), _tree(_leaves(_KEYS)).map(InRecord)))
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 99), _TEXTS, st.sampled_from([0.5, 7.0])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
    max_leaves=6,
)
_RECORD = st.builds(
    lambda kind, a0, pids: PlainRecord(kind, ("a0", "pid", "pid"), (a0, *pids)),
    st.sampled_from(["SYSCALL", "EXECVE", "a"]),
    _VALUES,
    st.tuples(_VALUES, _VALUES),
)


@st.composite
def _events(draw: st.DrawFn) -> Event:
    event = Event(1007, {"time": 1}, tuple(draw(st.lists(_RECORD, max_size=3))))
    for path in ("process.name", "process.cmd_line", "message"):
        value = draw(st.none() | _VALUES)
        if value is not None:
            event.values[path] = value
    if draw(st.booleans()):
        event.values["process.pid"] = draw(st.sampled_from([0, 7, -7, 1000]))
    if draw(st.booleans()):
        event.values["unmapped.source"] = msgspec.json.encode({"a": draw(_JSON)}).decode()
    return event


@settings(max_examples=150, deadline=None)
@given(condition=_CONDITIONS, events=st.lists(_events(), min_size=1, max_size=8))
def test_sql_finds_the_rows_where_the_tree_holds(
    database: duckdb.DuckDBPyConnection, condition: Condition, events: list[Event]
) -> None:
    """Any tree over attributes, records and the original, NOT and missing values included."""
    frame = frames_of(events)[1007]
    database.register("events", nested(frame))
    rows = database.execute(f"SELECT ({render_filter(condition, 1007)}) IS TRUE FROM events").fetchall()  # noqa: S608
    assert [found for (found,) in rows] == [holds(condition, event_at(frame, row)) for row in range(len(frame))]


def test_a_text_that_sql_cannot_say_is_refused() -> None:
    """A NUL in a literal is an error that says so, never other SQL."""
    with pytest.raises(InvalidQuery, match="NUL"):
        render_filter(Match(Field("process.name"), Text(Relation.EQUALS, "a\0b")), 1007)


def test_a_persons_text_stays_in_literals(database: duckdb.DuckDBPyConnection) -> None:
    """Quotes and SQL in a literal are searched for, not run."""
    nasty = "'); DROP TABLE events; --"
    events = [Event(1007, {"time": 1, "process.name": nasty}), Event(1007, {"time": 2, "process.name": "x"})]
    database.register("events", nested(frames_of(events)[1007]))
    sql = render_filter(Match(Field("process.name"), Text(Relation.EQUALS, nasty)), 1007)
    assert database.execute(f"SELECT time FROM events WHERE {sql}").fetchall() == [(1,)]  # noqa: S608
