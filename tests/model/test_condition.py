"""The condition tree's own promises: folding, field paths, leaves."""

from __future__ import annotations

import sys

import pytest

from tocsin.model.condition import (
    And,
    Field,
    InRecord,
    Keyword,
    Match,
    Not,
    Relation,
    Scope,
    Text,
    field_at,
    fold,
    fold_table,
    keyword_paths,
    leaves,
    within_record,
)


def test_fold_knows_every_letter_of_this_python() -> None:
    """No character above the table's end has a letter case, so the table is whole."""
    assert all(chr(c).casefold() == chr(c) for c in range(max(fold_table()) + 1, sys.maxunicode + 1))


def test_fold_agrees_with_casefold_where_that_gives_one_character() -> None:
    """Simple folding differs from Python's full folding only where that gives several characters."""
    points = [c for c in range(sys.maxunicode + 1) if len(chr(c).casefold()) == 1]
    assert all(fold(chr(c)) == chr(c).casefold() for c in points)


def test_fold_is_idempotent_and_keeps_the_length() -> None:
    """Folding twice is folding once, and wildcards for one character still fit."""
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert fold(fold(everything)) == fold(everything)
    assert len(fold(everything)) == len(everything)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("process.name", Field("process.name")),
        ("unmapped.audit.records.a0", Field("a0", Scope.RECORD)),
        ("unmapped.source.userIdentity.arn", Field("userIdentity.arn", Scope.SOURCE)),
    ],
)
def test_a_full_path_names_a_field_and_back(path: str, field: Field) -> None:
    """A field's full path is what `field_at` reads."""
    assert field_at(path) == field
    assert field.full_path == path


def test_leaves_come_in_order_and_equal_what_was_written_differently() -> None:
    """The way a term was written is no part of its identity."""
    left = Match(Field("type", Scope.RECORD), Text(Relation.EQUALS, "PATH"), "type: PATH")
    right = Keyword(Text(Relation.CONTAINS, "nc"), "nc")
    tree = And((InRecord(left), Not(right)))
    assert list(leaves(tree)) == [Match(left.field, left.test), right]
    assert within_record(tree)
    assert not within_record(right)


def test_keywords_are_not_searched_in_what_tocsin_makes_up() -> None:
    """An org or event id that happens to hold a keyword is no match."""
    paths = keyword_paths(1007)
    assert {"message", "process.cmd_line"} <= set(paths)
    assert not {"metadata.uid", "metadata.tenant_uid", "device.uid", "time"} & set(paths)
