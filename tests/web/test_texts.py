"""How values are written on the pages."""

from __future__ import annotations

import pytest

from tocsin.web.texts import ago, clock, count, day, iso, marked, span, tick

AT = 1_790_000_000_123


def test_times() -> None:
    """Times are UTC, to the millisecond where it matters."""
    assert (iso(AT), clock(AT), day(AT)) == ("2026-09-21T14:13:20.123Z", "14:13:20.123", "21 Sep 2026")
    assert [tick(AT, shown) for shown in (60_000, 3_600_000, 7 * 86_400_000)] == ["14:13:20", "14:13", "21 Sep"]


@pytest.mark.parametrize(
    ("passed", "said"),
    [(-5, "just now"), (4_999, "just now"), (41_000, "41 s ago"), (61_000, "1 min ago"), (7_200_000, "2 h ago")],
)
def test_ago(passed: int, said: str) -> None:
    """The largest unit that fits, rounded down; the future is now."""
    assert ago(AT, AT + passed) == said


def test_lengths_and_numbers() -> None:
    """Short lengths are milliseconds; large numbers are grouped."""
    assert (span(310), span(0), span(3 * 86_400_000)) == ("310 ms", "0 ms", "3 d")
    assert count(1_234_567) == "1\u202f234\u202f567"


def test_marked() -> None:
    """The literal of the term is marked whatever its case, and everything is escaped."""
    assert marked("a<B>C", "CommandLine|contains: <b>") == "a<mark>&lt;B&gt;</mark>C"
    assert marked("<i>", "CommandLine|contains: x") == "&lt;i&gt;"
    assert marked("a.c abc", "x: a.c") == "<mark>a.c</mark> abc"
