"""What evaluators find, as pairs that can be compared: the path of a rule, the time of an event."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.columnar.frame import Frame, event_at
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.evaluate.naive import holds
from tocsin.model.rule import Rule

__all__ = ["Matches", "matches_of", "naive_matches"]

Matches = set[tuple[str, int]]


def matches_of(engine: Engine, frames: dict[int, Frame]) -> Matches:
    """What the masks find."""
    found = set()
    for frame in frames.values():
        times = frame.table.column("time").to_pylist()
        for rule, rows in engine.matches(frame):
            found |= {(rule.path, times[row]) for row in rows}
    return found


def naive_matches(rules: Sequence[Rule], frames: dict[int, Frame]) -> Matches:
    """What the reference finds."""
    found = set()
    for class_uid, frame in frames.items():
        for row in range(len(frame)):
            event = event_at(frame, row)
            applied = (rule for rule in rules if class_uid in rule.class_uids)
            found |= {(rule.path, int(event.values["time"])) for rule in applied if holds(rule.condition, event)}
    return found
