"""Where things go in the console's own SVG: process trees and histograms."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tocsin.alert.tree import Process

__all__ = ["Bar", "Branch", "Drawn", "bars", "draw_tree"]

_ROW, _INDENT, _LEFT, _TOP = 30, 24, 18, 4
_CORNER = 7
_LONGEST_ARGUMENTS = 160
HISTOGRAM_HEIGHT = 80


class Drawn(msgspec.Struct, frozen=True):
    """A process at its place: node centre, height of its row, and the line from its parent."""

    process: Process
    x: int
    y: int
    top: int
    arguments: str
    line: str


class Branch(msgspec.Struct, frozen=True):
    """A whole tree, ready to be drawn."""

    rows: list[Drawn]
    height: int
    row_height: int = _ROW


def draw_tree(processes: Sequence[Process]) -> Branch:
    """Each process on a line of its own, indented below its parent, with elbows between them."""
    places: dict[str, int] = {}
    rows = []
    for number, process in enumerate(processes):
        x, y = _LEFT + process.depth * _INDENT, _TOP + number * _ROW + _ROW // 2
        rows.append(Drawn(process, x, y, y - _ROW // 2, _arguments(process), _elbow(places.get(process.parent), x, y)))
        places[process.key] = y
    return Branch(rows, 2 * _TOP + len(rows) * _ROW)


def _elbow(parent_y: int | None, x: int, y: int) -> str:
    if parent_y is None:
        return ""
    down = x - _INDENT
    return f"M{down} {parent_y + 6}V{y - _CORNER}Q{down} {y} {down + _CORNER} {y}H{x - 6}"


def _arguments(process: Process) -> str:
    """The command line; the executable's path where that says more than the name already does."""
    said = process.cmd_line if process.cmd_line not in ("", process.name) else process.path
    return said if len(said) <= _LONGEST_ARGUMENTS else said[: _LONGEST_ARGUMENTS - 1] + "\u2026"


class Bar(msgspec.Struct, frozen=True):
    """One span of time in a histogram."""

    start: int
    end: int
    count: int
    height: float


def bars(spans: Sequence[tuple[int, int]], until: int) -> list[Bar]:
    """Bars as high as their share of the highest; the smallest can still be seen."""
    highest = max((count for _, count in spans), default=0)
    ends = [*(start for start, _ in spans), until][1:]
    return [
        Bar(start, end, count, max(2.0, HISTOGRAM_HEIGHT * count / highest) if count else 0.0)
        for (start, count), end in zip(spans, ends, strict=True)
    ]
