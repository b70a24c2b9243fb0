"""Indicators as columns, in blocks, and from one version of a feed to the next."""

from __future__ import annotations

import pytest

from intel.feeds import indicator
from tocsin.intel.indicator import Indicator, Item, Refused, Withdrawn
from tocsin.intel.keys import indicator_keys
from tocsin.intel.table import SCHEMA, blocks, empty, gather, kinds_of, merge, table_of, with_hidden


def _values(rows: object) -> list[tuple[str, int]]:
    found = rows.to_pylist()  # type: ignore[attr-defined]  # a table
    return [(row["value"], row["first_seen"]) for row in found]


def test_blocks_give_back_what_was_put_in() -> None:
    """Every column of every row survives, also of no rows."""
    items = [
        indicator("198.51.1.7", confidence=7, valid_from=1, valid_until=2, tags=("a", "b"), source="x"),
        indicator("evil.example"),
    ]
    rows = with_hidden(gather(items, 99).rows, [None, "cdn"])
    back = table_of(blocks(rows))
    assert back.schema == SCHEMA
    assert back.to_pylist() == rows.to_pylist()
    assert table_of(blocks(empty())).num_rows == 0


def test_a_value_comes_once() -> None:
    """Of a value that a feed lists several times, the most confident row stays; refusals and withdrawals are kept."""
    items: list[Item] = [
        indicator("198.51.1.7", confidence=10),
        Refused("line 2", "no"),
        indicator("evil.example"),
        indicator("198.51.1.7", confidence=90),
        Withdrawn("object--1"),
    ]
    found = gather(items, 1)
    assert [(row["value"], row["confidence"]) for row in found.rows.to_pylist()] == [
        ("evil.example", None),
        ("198.51.1.7", 90),
    ]
    assert (found.refused, list(found.reasons)) == (1, [Refused("line 2", "no")])
    assert set(found.withdrawn) == {"object--1"}
    assert kinds_of(found.rows) == {"ip": 1, "domain": 1}


def test_too_many_are_refused_whole() -> None:
    """A feed beyond all measure is an error, not half a feed."""
    with pytest.raises(ValueError, match="more than 3 indicators are too many"):
        gather((indicator(f"198.51.1.{n}") for n in range(9)), 1, most=3)


def test_a_whole_feed_replaces_what_it_was() -> None:
    """What is listed again keeps the time when it was first seen; what is not is gone."""
    old = gather([indicator("198.51.1.7"), indicator("evil.example")], 100).rows
    rows, new = merge(old, gather([indicator("198.51.1.8"), indicator("198.51.1.7")], 200), keep_old=False)
    assert (sorted(_values(rows)), new) == ([("198.51.1.7", 100), ("198.51.1.8", 200)], 1)


def test_changes_of_a_feed_are_added_to_what_it_was() -> None:
    """Objects that come again replace what came of them, withdrawn ones leave, all others stay."""

    def of(text: str, source: str) -> Indicator:
        return indicator(text, source=source)

    old = gather([of("198.51.1.1", "a"), of("198.51.1.2", "b"), of("198.51.1.3", "c")], 100).rows
    changes = gather([Withdrawn("a"), of("198.51.1.9", "a"), Withdrawn("b"), of("198.51.1.3", "d")], 200)
    rows, new = merge(old, changes, keep_old=True)
    assert (sorted(_values(rows)), new) == ([("198.51.1.3", 100), ("198.51.1.9", 200)], 1)


def test_keys_of_different_indicators_differ() -> None:
    """The same text as another kind, and the same network at another length, have keys of their own."""
    texts = ["198.51.1.0/24", "198.51.1.0/25", "198.51.1.0", "2a00::/24", "evil.example", "http://evil.example/"]
    rows = gather([indicator(text) for text in texts], 1).rows
    assert len(set(indicator_keys(rows).tolist())) == len(texts)
