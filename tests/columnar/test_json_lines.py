"""Lines of JSON, each an object of its own."""

from __future__ import annotations

from tocsin.columnar.json_columns import JsonColumns
from tocsin.columnar.json_lines import Lines, stripped


def test_objects_over_several_lines_are_not_taken_for_lines() -> None:
    """Two objects in one line make up for one in two lines only in their number."""
    lines = [b'{"a":"1"} {"a":"2"}', b'{"a":', b'{"b":"3"}}', b'{"a":"4"}']
    assert Lines.of(lines) is None
    frame, numbers, refused = JsonColumns(["a"], whole=True).frame(lines)
    assert (len(frame), numbers, [each.line for each in refused]) == (1, [3], [0, 1, 2])


def test_lines_lie_end_to_end() -> None:
    """Blank lines and space around lines are left out, and the column holds each line as it is."""
    kept, numbers = stripped([b' {"a":"\xc3\xa9"} \n', b"\n", b"{}\r\n"])
    read = Lines.of(kept)
    assert read is not None
    assert (read.array().to_pylist(), list(numbers)) == (['{"a":"é"}', "{}"], [0, 2])


def test_what_is_no_text_is_no_line() -> None:
    """Bytes that are not UTF-8 are refused, wherever they stand."""
    assert Lines.of([b'{"a":"\xff"}']) is None
