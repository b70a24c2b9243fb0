"""The filter language: what it says, and what it refuses with which words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.conditions.parse_sql import parse_filter
from tocsin.model.condition import (
    TRUE,
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
    Text,
    Wildcard,
)
from tocsin.model.errors import InvalidQuery

_NAME, _PID = Field("process.name"), Field("process.pid")


def _equals(field: Field, value: str) -> Match:
    return Match(field, Text(Relation.EQUALS, value, cased=True))


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", TRUE),
        ("process.name = 'nc'", _equals(_NAME, "nc")),
        ("'nc' = process.name", _equals(_NAME, "nc")),
        ("process.name <> 'nc'", Not(_equals(_NAME, "nc"))),
        ("NOT process.name != 'nc'", Not(Not(_equals(_NAME, "nc")))),
        ("group.name = 'wheel'", _equals(Field("group.name"), "wheel")),
        ("process.name IN ('a', 'b')", Or((_equals(_NAME, "a"), _equals(_NAME, "b")))),
        ("process.name NOT IN ('a')", Not(Or((_equals(_NAME, "a"),)))),
        ("process.pid >= 5", Match(_PID, Number(Compare.AT_LEAST, 5))),
        ("5 < process.pid", Match(_PID, Number(Compare.GREATER, 5))),
        ("process.pid = -1", Match(_PID, Number(Compare.EQUALS, -1))),
        ("process.name IS NULL", Not(Match(_NAME, Exists()))),
        ("process.name IS NOT NULL", Not(Not(Match(_NAME, Exists())))),
        ("process.name LIKE 'a%'", Match(_NAME, Text(Relation.STARTSWITH, "a", cased=True))),
        ("process.name ILIKE '%A_b'", Match(_NAME, Wildcard((Glob.ANY, "A", Glob.ONE, "b")))),
        ("process.name LIKE '%!%%' ESCAPE '!'", Match(_NAME, Text(Relation.CONTAINS, "%", cased=True))),
        ("starts_with(process.name, 'a')", Match(_NAME, Text(Relation.STARTSWITH, "a", cased=True))),
        ("ends_with(process.name, 'a')", Match(_NAME, Text(Relation.ENDSWITH, "a", cased=True))),
        ("contains(process.name, 'a')", Match(_NAME, Text(Relation.CONTAINS, "a", cased=True))),
        ("process.name ~ '^a'", Match(_NAME, Regex("^a"))),
        ("regexp_matches(process.name, 'a', 'is')", Match(_NAME, Regex("a", ignore_case=True, dot_all=True))),
        ("cidr(dst_endpoint.ip, '10.1.2.3/8')", Match(Field("dst_endpoint.ip"), Cidr("10.0.0.0/8"))),
        ("is_remote", Match(Field("is_remote"), Text(Relation.EQUALS, "true", cased=True))),
        ("file.path = file_result.path", Match(Field("file.path"), SameAs(Field("file_result.path"), cased=True))),
        ("keyword('Shadow')", Keyword(Text(Relation.CONTAINS, "Shadow"))),
        ("unmapped.source.a.b = 'x'", _equals(Field("a.b", Scope.SOURCE), "x")),
        ("unmapped.audit.records.a0 = 'x'", InRecord(_equals(Field("a0", Scope.RECORD), "x"))),
        (
            "record(type = 'PATH' AND name = process.name)",
            InRecord(
                And(
                    (
                        _equals(Field("type", Scope.RECORD), "PATH"),
                        Match(Field("name", Scope.RECORD), SameAs(_NAME, cased=True)),
                    )
                )
            ),
        ),
        (
            "process.name = 'a' AND (process.pid = 1 OR time < 2)",
            And(
                (
                    _equals(_NAME, "a"),
                    Or((Match(_PID, Number(Compare.EQUALS, 1)), Match(Field("time"), Number(Compare.LESS, 2)))),
                )
            ),
        ),
        (
            "process.pid BETWEEN 1 AND 2",
            And((Match(_PID, Number(Compare.AT_LEAST, 1)), Match(_PID, Number(Compare.AT_MOST, 2)))),
        ),
    ],
)
def test_a_filter_says_this_condition(text: str, condition: Condition) -> None:
    """Each construct of the language and the tree it becomes."""
    assert parse_filter(text) == condition


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("process.nam = 'x'", "column 1: no attribute 'process.nam'; did you mean 'process.name'?"),
        ("process.pid = 1 AND pid = 1", "column 21: no attribute 'pid'; did you mean 'process.pid'?"),
        ("process.name =", "something is missing"),
        ("process.name = 'a'; DROP TABLE x", "one expression"),
        ("process.name = 'a", "cannot be read"),
        ("process.name = (SELECT 1)", "expected a number, not '\\(SELECT 1\\)'"),
        ("SELECT 1", "has no meaning in a filter"),
        ("process.name ~ '('", "regular expression '\\('"),
        ("process.name ~ 'a(?=b)'", "regular expression"),
        ("cidr(dst_endpoint.ip, 'here')", "'here' does not appear to be an IPv4 or IPv6 network"),
        ("read_text('/etc/passwd') = 'x'", "expected an attribute"),
        ("getenv('HOME')", "no function getenv"),
        ("process.name LIKE 5", "expected a text in single quotes"),
        ("record(record(type = 'PATH'))", "no function record"),
        ("(" * 5000 + "1" + ")" * 5000, "nested too deeply|cannot be read|too deep|column"),
        ("x" * 30_000, "30000 characters long"),
    ],
)
def test_what_cannot_be_understood_is_refused(text: str, words: str) -> None:
    """The error says what is wrong, and where."""
    with pytest.raises(InvalidQuery, match=words):
        parse_filter(text)


@settings(max_examples=300, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(
            ["process.name", "=", "'x'", "AND", "NOT", "(", ")", ",", ".", "IN", "LIKE", "1", "-", "record"]
        )
        | st.text(max_size=3),
        max_size=8,
    ).map(" ".join)
)
def test_no_text_crashes_the_parser(text: str) -> None:
    """Whatever a person types is a condition or an InvalidQuery."""
    said: Condition | str
    try:
        said = parse_filter(text)
    except InvalidQuery as refused:
        said = str(refused)
    assert said
