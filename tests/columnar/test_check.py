"""What a batch may hold."""

from __future__ import annotations

import pytest

from tocsin.columnar.check import check
from tocsin.model.errors import InvalidBatch
from tocsin.model.wire import BatchHeader, Column, RecordColumns, Section

TIME = Column("time", constant=1)


def header(rows: int) -> BatchHeader:
    return BatchHeader(1, "default", "h1", "b", 1, 0, b"", 1, 1, rows, {}, 0, b"")


@pytest.mark.parametrize(
    "columns",
    [
        [TIME, Column("actor.process.name", constant="sh"), Column("actor.process.pid", constant=4)],
        [TIME, Column("actor.process.name", dictionary=["sh"], codes=b"\1\0", width=1), Column("message")],
        [Column("time", integers=b"\1\2", width=1), Column("activity_id", integers=b"\1\2", nulls=b"\0\1", width=1)],
        [TIME, Column("unmapped.source", constant='{"a": [1, null]}')],
    ],
)
def test_columns_of_the_schemas_kinds_pass(columns: list[Column]) -> None:
    """Constants, dictionaries and integers that fit their attributes are taken."""
    check(header(2), [Section(1007, 2, columns)])


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ([TIME, Column("actor.process.name", constant=4)], "another kind"),
        ([TIME, Column("actor.process.name", integers=b"\1\2", width=1)], "another kind"),
        ([TIME, Column("actor.process.pid", constant="4")], "another kind"),
        ([TIME, Column("actor.process.pid", constant=True)], "another kind"),
        ([TIME, Column("actor.process.pid", constant=2**63)], "another kind"),
        ([TIME, Column("actor.process.pid", dictionary=["4"], codes=b"\1\1", width=1)], "another kind"),
        ([TIME, Column("unmapped.source", constant="{")], "another kind"),
        ([TIME, Column("nonsense", constant="x")], "no attribute nonsense"),
        ([TIME, TIME], "twice"),
        ([Column("message", constant="x")], "without a time"),
        ([Column("time")], "without a time"),
        ([Column("time", integers=b"\1\2", nulls=b"\0\1", width=1)], "without a time"),
    ],
)
def test_what_does_not_fit_is_an_invalid_batch(columns: list[Column], reason: str) -> None:
    """A value of another kind, an unknown attribute and a missing time are refused with the reason."""
    with pytest.raises(InvalidBatch, match=reason):
        check(header(2), [Section(1007, 2, columns)])


def test_rows_that_the_header_did_not_announce_are_refused() -> None:
    """A section of constants costs no bytes, so its rows are held to what the signed header says."""
    with pytest.raises(InvalidBatch, match="2 rows"):
        check(header(2), [Section(1007, 10**12, [TIME])])


def test_records_must_be_text() -> None:
    """Record values that are not UTF-8 are refused."""
    records = RecordColumns([["T", "a"]], b"\1\0", b"\0\0", b"\xff")
    with pytest.raises(InvalidBatch, match="UTF-8"):
        check(header(1), [Section(1007, 1, [TIME], records)])
