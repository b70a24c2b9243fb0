"""What metrics are counted by."""

from __future__ import annotations

from tocsin.metrics import FirstOf


def test_labels_of_which_there_may_be_many_are_bounded() -> None:
    """The first values keep their names for good, all later ones share one."""
    label = FirstOf(2)
    assert [label(value) for value in ("a", "b", "c", "a", "d", "b")] == ["a", "b", "other", "a", "other", "b"]
