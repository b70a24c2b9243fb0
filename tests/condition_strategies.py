"""Conditions and events made to be confused with each other, for property tests."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

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
    TimePart,
    TimeUnit,
    Wildcard,
)
from tocsin.model.event import Event
from tocsin.model.wire import PlainRecord

__all__ = ["CONDITIONS", "TESTS", "VALUES", "events"]

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
_TIMES = [
    "2026-01-07T07:01:59.5Z",
    "2026-01-07 07:07:07 +0200",
    "2026-01-07t07:01:59z",
    "2026-12-31",
    "2027-01-01",  # in week 53 of the year before
    "2026-02-29T07:01",
    "2026-01-07T24:01",
    "2026-01-07T07:01:59.5Zulu",
    "0999-01-07",
    "1767769267",
    "1767769267000",
    "1767769267000000",
    "1767769267000000000",
    "8999999999999999999",
    "9000000000000000000",
]
_NETWORKS = ["10.0.0.0/8", "10.0.0.1/32", "0.0.0.0/0", "fe80::/10", "::/0", "::1/128", "1:2:3:4::/64"]
_PATTERNS = ["a.s", "^k", "(?i)\u017f", r"\d+$", "[^a]", "s|^$"]
VALUES = st.one_of(_TEXTS, st.sampled_from([*_NUMBERS, *_ADDRESSES, *_TIMES, "k\0s", "\0"]))
_FLAGS = st.booleans()
_LITERALS = st.builds(Text, st.sampled_from(list(Relation)), _TEXTS, _FLAGS)
_WILDCARDS = st.builds(
    Wildcard,
    st.lists(st.one_of(_TEXTS.filter(bool), st.sampled_from(list(Glob))), min_size=1, max_size=4).map(tuple),
    _FLAGS,
)
_REGEXES = st.builds(Regex, st.sampled_from(_PATTERNS), _FLAGS, _FLAGS, _FLAGS)
TESTS: st.SearchStrategy[Test] = st.one_of(
    _LITERALS,
    _WILDCARDS,
    _REGEXES,
    st.builds(Cidr, st.sampled_from(_NETWORKS)),
    st.builds(Number, st.sampled_from(list(Compare)), st.sampled_from([0, 7, -7, 7.5, 2.0**62, 1000])),
    st.builds(
        TimePart, st.sampled_from(list(TimeUnit)), st.sampled_from(list(Compare)), st.sampled_from([1, 7, 53, 2026])
    ),
    st.just(Exists()),
)


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
        st.builds(Match, field, TESTS),
        st.builds(Match, field, same),
        st.builds(Keyword, keyword),
    )


CONDITIONS = _tree(st.one_of(_leaves(_FIELDS), _tree(_leaves(_KEYS)).map(InRecord)))
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 99), _TEXTS, st.sampled_from([0.5, 7.0])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
    max_leaves=6,
)
_RECORD = st.builds(
    lambda kind, a0, pids: PlainRecord(kind, ("a0", "pid", "pid"), (a0, *pids)),
    st.sampled_from(["SYSCALL", "EXECVE", "a"]),
    VALUES,
    st.tuples(VALUES, VALUES),
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """A program start with any of the fields that the conditions look at."""
    event = Event(1007, {"time": 1}, tuple(draw(st.lists(_RECORD, max_size=3))))
    for path in ("process.name", "process.cmd_line", "message"):
        value = draw(st.none() | VALUES)
        if value is not None:
            event.values[path] = value
    if draw(st.booleans()):
        event.values["process.pid"] = draw(st.sampled_from([0, 7, -7, 1000]))
    if draw(st.booleans()):
        event.values["unmapped.source"] = msgspec.json.encode({"a": draw(_JSON)}).decode()
    return event
