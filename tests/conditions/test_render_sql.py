"""The condition tree as SQL finds what the naive evaluator finds."""

from __future__ import annotations

import sys

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from condition_strategies import CONDITIONS, TESTS, VALUES, events
from event_frames import frames_of
from tocsin.columnar.frame import event_at
from tocsin.columnar.nested import nested
from tocsin.conditions.fold_sql import fold_sql
from tocsin.conditions.literal import passes
from tocsin.conditions.render_sql import DIALECTS, render_filter
from tocsin.conditions.text_sql import passes_sql
from tocsin.detect.evaluate.naive import holds
from tocsin.model.condition import (
    Condition,
    Field,
    Match,
    Relation,
    Test,
    Text,
    fold,
)
from tocsin.model.errors import InvalidQuery
from tocsin.model.event import Event


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    """An empty database."""
    return duckdb.connect()


@settings(max_examples=150, deadline=None)
@given(test=TESTS, values=st.lists(VALUES, min_size=5, max_size=20))
def test_a_test_as_sql_passes_the_same_texts(
    database: duckdb.DuckDBPyConnection, test: Test, values: list[str]
) -> None:
    """Every kind of test, on texts made to be confused with each other."""
    sql = passes_sql(test, exp.column("value"), DIALECTS["duckdb"]).sql(dialect="duckdb")
    database.register("texts", pa.table({"value": values}))
    found = database.execute(f"SELECT coalesce({sql}, FALSE) FROM texts").fetchall()  # noqa: S608 - rendered, as in use
    assert [passed for (passed,) in found] == [passes(test, value) for value in values]


def test_folding_in_sql_is_folding_for_every_character(database: duckdb.DuckDBPyConnection) -> None:
    """All code points at once: the engine's result is the model's."""
    characters = [chr(point) for point in range(1, sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
    sql = fold_sql(exp.column("value"), DIALECTS["duckdb"]).sql(dialect="duckdb")
    text = "".join(characters)
    database.register("characters", pa.table({"value": [text], "folded": [fold(text)]}))
    wrong = database.execute(f"SELECT count(*) FROM characters WHERE ({sql}) <> folded").fetchall()  # noqa: S608
    assert wrong == [(0,)]


@settings(max_examples=150, deadline=None)
@given(condition=CONDITIONS, made=st.lists(events(), min_size=1, max_size=8))
def test_sql_finds_the_rows_where_the_tree_holds(
    database: duckdb.DuckDBPyConnection, condition: Condition, made: list[Event]
) -> None:
    """Any tree over attributes, records and the original, NOT and missing values included."""
    frame = frames_of(made)[1007]
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
