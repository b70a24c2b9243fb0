"""What is known of stored texts never hides a match, and spares most of the reading."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condition_strategies import CONDITIONS, VALUES, events
from event_frames import frames_of
from tocsin.adapters.iceberg.storage import write_parquet
from tocsin.adapters.pieces import file_pieces
from tocsin.columnar.frame import Frame, event_at
from tocsin.columnar.grams import grams_in, metadata_of, sets_of
from tocsin.columnar.nested import nested
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.history.engines import together
from tocsin.detect.history.sieve import Sieve, Sifted, sift
from tocsin.model.condition import (
    TRUE,
    Compare,
    Condition,
    Exists,
    Field,
    InRecord,
    Keyword,
    Match,
    Not,
    Number,
    Regex,
    Relation,
    Scope,
    Text,
)
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.model.wire import PlainRecord

_COMMAND = Field("process.cmd_line")
_A0 = Field("a0", Scope.RECORD)


def _left(condition: Condition, frame: Frame) -> bool:
    rule = Rule("r", "", condition, (1007,))
    return bool(Sieve([rule], 1007).left([grams_in(nested(frame))])[0, 0])


@settings(max_examples=150, deadline=None)
@given(condition=CONDITIONS, made=st.lists(events(), min_size=1, max_size=8))
def test_what_matches_is_left(condition: Condition, made: list[Event]) -> None:
    """Whatever the condition: if it holds for an event, its rows are read."""
    frame = frames_of(made)[1007]
    if any(holds(condition, event_at(frame, row)) for row in range(len(frame))):
        assert _left(condition, frame)


@settings(max_examples=30, deadline=None)
@given(text=VALUES, number=st.sampled_from([0, 7, -7, 7.5, 59.0, 2.0**53, 2.0**62, 1e20]))
@pytest.mark.parametrize("spelling", ["{}", "0{}", "{}.0", "-{}", "{}.00", "x{}", "58.9999999999999999999"])
def test_numbers_are_found_however_they_are_written(spelling: str, text: str, number: float) -> None:
    """Zeros before and behind, signs, and fractions that round to the number."""
    written = spelling.format(f"{number:g}")
    frame = frames_of([Event(1007, {"time": 1}, (PlainRecord("EXECVE", ("a0", "a1"), (written, text)),))])[1007]
    for key in ("a0", "a1"):
        condition = InRecord(Match(Field(key, Scope.RECORD), Number(Compare.EQUALS, number)))
        if holds(condition, event_at(frame, 0)):
            assert _left(condition, frame)


_EVENT = Event(
    1007,
    {"time": 1, "process.cmd_line": "git Status", "process.name": "git"},
    (PlainRecord("SYSCALL", ("syscall", "a0"), ("59", "10f")), PlainRecord("CWD", ("cwd",), ("/srv",))),
)


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        (Match(_COMMAND, Text(Relation.CONTAINS, "t stat")), True),
        (Match(_COMMAND, Text(Relation.CONTAINS, "staff")), False),
        (Match(_COMMAND, Text(Relation.STARTSWITH, "git")), True),
        (Match(_COMMAND, Text(Relation.STARTSWITH, "stat")), False),
        (Match(_COMMAND, Text(Relation.ENDSWITH, "tus")), True),
        (Match(_COMMAND, Text(Relation.ENDSWITH, "git")), False),
        (Match(_COMMAND, Text(Relation.EQUALS, "git")), False),
        (Match(Field("process.name"), Text(Relation.EQUALS, "GIT")), True),
        (Match(Field("process.name"), Text(Relation.CONTAINS, "status")), False),
        (Match(_COMMAND, Regex("sta[tx]us{2}")), True),
        (Match(_COMMAND, Regex("passwd|shadow")), True),  # no one text must occur
        (Match(_COMMAND, Regex(r"/etc/\w+")), False),
        (InRecord(Match(Field("syscall", Scope.RECORD), Number(Compare.EQUALS, 59))), True),
        (InRecord(Match(Field("syscall", Scope.RECORD), Number(Compare.EQUALS, 5))), False),
        (InRecord(Match(_A0, Number(Compare.EQUALS, 59))), False),
        (InRecord(Match(Field("type", Scope.RECORD), Text(Relation.EQUALS, "PATH"))), False),
        (InRecord(Match(Field("nametype", Scope.RECORD), Text(Relation.EQUALS, "CREATE"))), False),
        (InRecord(Keyword(Text(Relation.CONTAINS, "nowhere"))), False),
        (InRecord(Keyword(Text(Relation.CONTAINS, "/srv"))), True),
        (InRecord(Keyword(Text(Relation.CONTAINS, "syscall"))), True),  # types are searched
        (InRecord(Keyword(Text(Relation.CONTAINS, "git"))), False),
        (Match(Field("dst_endpoint.ip"), Exists()), False),  # no attribute of the class
        (Keyword(Text(Relation.CONTAINS, "nowhere")), False),
        (Match(Field("a.b", Scope.SOURCE), Text(Relation.CONTAINS, "nowhere")), False),  # there is no original
        (Not(Match(_COMMAND, Text(Relation.CONTAINS, "git"))), True),
        (Match(Field("process.pid"), Number(Compare.EQUALS, 7)), True),  # nothing is known of numbers
        (TRUE, True),
    ],
)
def test_what_no_row_holds_is_not_read(condition: Condition, *, left: bool) -> None:
    """A text that is nowhere, at the wrong end or in another field spares the reading; what is not known does not."""
    assert _left(condition, frames_of([_EVENT])[1007]) is left


def test_what_is_known_is_in_the_file(tmp_path: Path) -> None:
    """The lake's files carry it for each group of rows; a file without, or of another version, is read."""
    absent = Rule("absent", "", Match(_COMMAND, Text(Relation.CONTAINS, "nowhere")), (1007,))
    rules = [absent, Rule("there", "", Match(_COMMAND, Text(Relation.CONTAINS, "status")), (1007,))]
    rows = nested(frames_of([_EVENT])[1007])
    write_parquet(rows, tmp_path / "known.parquet")
    pq.write_table(rows, tmp_path / "unknown.parquet")
    pq.write_table(rows.replace_schema_metadata({"tocsin.grams.0": "?"}), tmp_path / "other.parquet")
    left = {
        name: [rule.id for each in sift(rules, file_pieces(1007, str(tmp_path / name), 0, 9)) for rule in each.rules]
        for name in ("known.parquet", "unknown.parquet", "other.parquet")
    }
    both = ["absent", "there"]
    assert left == {"known.parquet": ["there"], "unknown.parquet": both, "other.parquet": both}


def test_sets_come_back_from_a_footer() -> None:
    """As many as the file has groups, in their order."""
    made = [b"\1" * 128, b"", b"\2" * 256]
    assert sets_of({name.encode(): value.encode() for name, value in metadata_of(made).items()}) == made
    assert sets_of(None) == []


def test_few_sets_of_rules_are_left(tmp_path: Path) -> None:
    """A piece may get more rules than are left for it, but never fewer, and no records to read for nothing."""
    names = [f"r{number}" for number in range(6)]
    plain = [Rule(name, "", Match(_COMMAND, Text(Relation.CONTAINS, name)), (1007,)) for name in names]
    of_records = Rule("records", "", InRecord(Match(_A0, Text(Relation.CONTAINS, "10f"))), (1007,))
    write_parquet(nested(frames_of([_EVENT])[1007]), tmp_path / "e.parquet")
    (piece,) = file_pieces(1007, str(tmp_path / "e.parquet"), 0, 9)
    sifted = [Sifted(piece, tuple(plain)), Sifted(piece, (plain[1],)), Sifted(piece, (of_records, plain[1]))]
    found = together([*sifted, Sifted(piece, ())])
    assert [[rule.id for rule in each.rules] for each in found] == [names, ["records", "r1"], names]
