"""Where things go in the console's pictures."""

from __future__ import annotations

from tocsin.alert.tree import Process
from tocsin.web.drawing import HISTOGRAM_HEIGHT, bars, draw_tree


def test_a_tree_is_one_line_per_process_indented_below_its_parent() -> None:
    """Rows follow each other without overlap, children stand to the right, and every child has a line."""
    drawn = draw_tree([Process("a"), Process("b", 1, "a"), Process("c", 2, "b"), Process("d", 1, "a")])
    assert [row.y for row in drawn.rows] == sorted({row.y for row in drawn.rows})
    a, b, c, d = drawn.rows
    assert a.x < b.x == d.x < c.x
    assert [bool(row.line) for row in drawn.rows] == [False, True, True, True]
    assert d.line.startswith(f"M{a.x} ")
    assert drawn.height >= d.y + drawn.row_height // 2


def test_long_arguments_are_cut_and_bare_names_show_their_path() -> None:
    """A line stays a line; a command without arguments shows where it lies instead of repeating its name."""
    long, bare = draw_tree(
        [Process("a", cmd_line="x" * 500), Process("b", name="id", cmd_line="id", path="/bin/id")]
    ).rows
    assert len(long.arguments) == 160
    assert long.arguments.endswith("\u2026")
    assert bare.arguments == "/bin/id"


def test_bars_share_the_height() -> None:
    """The highest bar fills the height, the smallest can still be seen, an empty span has none."""
    made = bars([(0, 1_000), (10, 1), (20, 0)], 30)
    assert [(bar.start, bar.end) for bar in made] == [(0, 10), (10, 20), (20, 30)]
    assert [bar.height for bar in made] == [HISTOGRAM_HEIGHT, 2.0, 0.0]
    assert bars([], 0) == []
