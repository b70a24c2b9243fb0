"""Rules over JSON events in the rules' own terms: from lines to matches, without the event schema in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tocsin.columnar.json_columns import JsonColumns
from tocsin.detect.evaluate.engine import Engine
from tocsin.model.condition import Keyword, Match, SameAs, leaves
from tocsin.model.event import RefusedLine
from tocsin.model.rule import Rule

__all__ = ["Judged", "RawRules"]


class Judged(msgspec.Struct, frozen=True):
    """What became of some lines, which count from 0."""

    events: int
    matches: tuple[tuple[int, Rule], ...]  # by line, then in the order of the rules
    refused: tuple[RefusedLine, ...]


class RawRules:
    """Rules that were loaded with the mapping RAW, and how to read what they look at."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._engine = Engine(self.rules)
        named = {leaf for rule in self.rules for leaf in leaves(rule.condition)}
        paths = {leaf.field.path: None for leaf in named if isinstance(leaf, Match)}
        paths |= {
            leaf.test.other.path: None for leaf in named if isinstance(leaf, Match) and isinstance(leaf.test, SameAs)
        }
        self._columns = JsonColumns(sorted(paths), whole=any(isinstance(leaf, Keyword) for leaf in named))

    def judge(self, lines: Sequence[bytes]) -> Judged:
        """Which rules match which lines."""
        frame, numbers, refused = self._columns.frame(lines)
        found = [(numbers[row], rule) for rule, rows in self._engine.matches(frame) for row in rows]
        found.sort(key=lambda match: match[0])
        return Judged(len(frame), tuple(found), tuple(refused))
