"""The same tree in the SQL of DuckDB, ClickHouse (chDB) and a local Spark finds what the naive evaluator finds."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from condition_strategies import CONDITIONS, TESTS, VALUES, events
from conditions.sql_engines import Engine, Foreign, needed, written
from event_frames import frames_of
from tocsin.columnar.frame import event_at
from tocsin.columnar.nested import nested, plain
from tocsin.conditions.fold_sql import fold_sql
from tocsin.conditions.literal import passes
from tocsin.conditions.render_sql import DIALECTS, render_filter
from tocsin.conditions.text_sql import passes_sql
from tocsin.conditions.time_part import SCALES
from tocsin.detect.evaluate.naive import holds
from tocsin.model.condition import (
    Compare,
    Condition,
    Field,
    Match,
    Regex,
    Relation,
    Test,
    Text,
    TimePart,
    TimeUnit,
    fold,
)
from tocsin.model.errors import InvalidQuery
from tocsin.model.event import Event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a JVM may take its time to start
_SETTINGS = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module", params=["duckdb", "clickhouse", "spark"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine in turn, started once."""
    found = needed(request.param)
    yield found
    if isinstance(found, Foreign):
        found.close()


def _rendered(conditions: Sequence[Condition], engine: Engine) -> dict[str, Condition]:
    """The conditions that the dialect can say, by their SQL."""
    found: dict[str, Condition] = {}
    for condition in conditions:
        try:
            found[render_filter(condition, 1007, engine.dialect)] = condition
        except InvalidQuery as error:
            assert "cannot be" in str(error)  # noqa: PT017 - refusing is right, if it says so
    return found


@_SETTINGS
@given(tests=st.lists(TESTS, min_size=20, max_size=40), values=st.lists(VALUES, min_size=20, max_size=40))
def test_a_test_passes_the_same_texts(engine: Engine, tmp_path: Path, tests: list[Test], values: list[str]) -> None:
    """Every kind of test, on texts made to be confused with each other."""
    file = written(pa.table({"value": values, "number": range(len(values))}), tmp_path / "texts.parquet")
    dialect = DIALECTS[engine.dialect]
    sql = [dialect.written(passes_sql(test, exp.column("value"), dialect)) for test in tests]
    found = engine.truths(file, sql, "number")
    for number, test in enumerate(tests):
        wrong = [value for row, value in enumerate(values) if found[row][number] != passes(test, value)]
        assert not wrong, (test, wrong, sql[number])


@_SETTINGS
@given(conditions=st.lists(CONDITIONS, min_size=10, max_size=20), made=st.lists(events(), min_size=5, max_size=15))
def test_a_tree_holds_for_the_same_events(
    engine: Engine, tmp_path: Path, conditions: list[Condition], made: list[Event]
) -> None:
    """Any tree over attributes, records and the original, NOT and missing values included."""
    for at, event in enumerate(made):
        event.values["time"] = at
        if engine.dialect == "spark" and "7.0" in str(event.values.get("unmapped.source")):
            del event.values["unmapped.source"]  # Spark's variants forget the zero: docs/history.md says so
    frame = frames_of(made)[1007]
    rows = nested(frame)
    file = written(rows.cast(plain(rows.schema)), tmp_path / "events.parquet")
    rendered = _rendered(conditions, engine)
    found = engine.truths(file, list(rendered), "time")
    for number, (sql, condition) in enumerate(rendered.items()):
        naive = [holds(condition, event_at(frame, row)) for row in range(len(frame))]
        assert [row[number] for row in found] == naive, (condition, sql)


def test_calendars_agree(engine: Engine, tmp_path: Path) -> None:
    """Days that there are and days that there are not, from the year 1000 to 9999, and numbers since 1970."""
    random = Random(2026)  # noqa: S311 -- a pinned sample
    dates = [
        f"{random.randrange(1000, 10_000)}-{random.randrange(14):02}-{random.randrange(33):02}" for _ in range(400)
    ]
    new_years = [f"{year}-{day}" for year in (*range(1996, 2030), 1900, 2100, 9999) for day in _ODD_DAYS]
    clocks = [f"{date}{clock}" for date in dates[:60] for clock in ("T07:12", " 23:59:59 +0200", "T24:00")]
    numbers = [str(random.randrange(10**digits)) for digits in range(1, 19) for _ in range(20)]
    texts = [*dates, *new_years, *clocks, *numbers, *(str(below + by) for below, _ in SCALES for by in (-1, 0))]
    tests = [
        TimePart(unit, compare, number)
        for unit in TimeUnit
        for compare, number in ((Compare.EQUALS, 1), (Compare.AT_LEAST, 29))
    ]
    file = written(pa.table({"value": texts, "number": range(len(texts))}), tmp_path / "times.parquet")
    dialect = DIALECTS[engine.dialect]
    sql = [dialect.written(passes_sql(test, exp.column("value"), dialect)) for test in tests]
    found = engine.truths(file, sql, "number")
    assert found == [[passes(test, value) for test in tests] for value in texts]


_ODD_DAYS = ("12-28", "12-29", "12-31", "01-01", "01-03", "01-04", "02-28", "02-29", "03-01")


def test_folding_is_folding_for_every_character(engine: Engine, tmp_path: Path) -> None:
    """All code points at once: the engine's result is the model's."""
    characters = [chr(point) for point in range(1, sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
    text = "".join(characters)
    file = written(pa.table({"value": [text], "folded": [fold(text)], "number": [0]}), tmp_path / "characters.parquet")
    dialect = DIALECTS[engine.dialect]
    folded = dialect.written(fold_sql(exp.column("value"), dialect))
    assert engine.truths(file, [f"({folded}) = folded"], "number") == [[True]]


_PATTERNS = [
    r"a.b",
    r"^a|b$",
    r"\bfoo\b",
    r"fo\B",
    r"\s",
    r"[^\s\w]",
    r"[\d-]+x",
    r"(?i)straße",
    r"(?i)[k-s]{2,3}",
    r"(?:ab|cd)*?e",
    r"\.(?:sh|py)$",
    r"[^a-c\n]\t",
    r"(?i)İ",
    r"a{2}",
    r"^$",
    r"\$\(.*\)",
    r"[\]\\^-]",
]
_TEXTS = [
    "a\nb",
    "a\rb",
    "aab",
    "b\n",
    "foo bar",
    "xfoo",
    "éfoo",
    "\x0b",
    "\u00a0",
    "\u2028",
    "-9x",
    "STRASSE",
    "straSSe",
    "straße",
    "STRAẞE",
    "\u212a\u017f",
    "kK",
    "abcde",
    "run.sh",
    "run.sh\n",
    "d\t",
    "İ",
    "i",
    "I",
    "",
    "\n",
    "$(id)",
    "]",
    "^",
    "\\",
    "a-b",
]


@pytest.mark.parametrize("flags", range(8))
def test_regular_expressions_mean_what_re2_means(engine: Engine, tmp_path: Path, flags: int) -> None:
    """Edges, classes, letter case and line ends, on texts where Java and RE2 differ by themselves."""
    ignore_case, multiline, dot_all = (bool(flags >> bit & 1) for bit in range(3))
    # Letters beyond ASCII belong to \w without letter case, sometimes: refused for Spark.
    refused = {r"[^\s\w]"} if engine.dialect == "spark" and ignore_case else set()
    tests = [Regex(pattern, ignore_case, multiline, dot_all) for pattern in _PATTERNS if pattern not in refused]
    file = written(pa.table({"value": _TEXTS, "number": range(len(_TEXTS))}), tmp_path / "texts.parquet")
    dialect = DIALECTS[engine.dialect]
    sql = [dialect.written(passes_sql(test, exp.column("value"), dialect)) for test in tests]
    found = engine.truths(file, sql, "number")
    wrong = [
        (test.pattern, text)
        for number, test in enumerate(tests)
        for row, text in enumerate(_TEXTS)
        if found[row][number] != passes(test, text)
    ]
    assert not wrong


@pytest.mark.parametrize("pattern", [r"\pL", r"[[:alpha:]]", r"(a)(?i)b", r"\x{41}", r"(?U)a+", r"(?i)[^\s\w]"])
def test_what_java_says_otherwise_is_refused(pattern: str) -> None:
    """A pattern that is not known to mean the same in Java is an error that names it, never other SQL."""
    with pytest.raises(InvalidQuery, match="cannot be said exactly in Spark"):
        render_filter(Match(Field("process.name"), Regex(pattern)), 1007, "spark")


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_nul_is_refused(dialect: str) -> None:
    """A NUL in a literal is an error that says so, never other SQL."""
    with pytest.raises(InvalidQuery, match="NUL"):
        render_filter(Match(Field("process.name"), Text(Relation.EQUALS, "a\0b")), 1007, dialect)


def test_a_persons_text_stays_in_literals(engine: Engine, tmp_path: Path) -> None:
    """Quotes, backslashes and SQL in a literal are searched for, not run."""
    nasty = ["'); DROP TABLE events; --", "\\'", "\\", "\\n", "a\nb", "%_~", '"`$x${y}']
    file_rows = nested(
        frames_of([Event(1007, {"time": at, "process.name": text}) for at, text in enumerate(nasty)])[1007]
    )
    file = written(file_rows.cast(plain(file_rows.schema)), tmp_path / "events.parquet")
    sql = [
        render_filter(Match(Field("process.name"), Text(relation, text, cased)), 1007, engine.dialect)
        for text in nasty
        for relation in (Relation.EQUALS, Relation.CONTAINS)
        for cased in (False, True)
    ]
    found = engine.truths(file, sql, "time")
    for row, text in enumerate(nasty):
        assert [found[row][4 * other] for other in range(len(nasty))] == [text == each for each in nasty]
