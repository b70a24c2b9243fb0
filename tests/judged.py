"""One condition and one event, judged by all three evaluators."""

from __future__ import annotations

from functools import cache

import duckdb

from event_frames import frames_of
from tocsin.columnar.nested import nested
from tocsin.conditions.render_sql import render_filter
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.evaluate.naive import holds
from tocsin.model.condition import Condition
from tocsin.model.event import Event
from tocsin.model.rule import Rule

__all__ = ["judged"]


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def judged(condition: Condition, event: Event) -> bool:
    """Does it hold? Fails if the naive evaluator, the masks and SQL do not say the same."""
    naive = holds(condition, event)
    ((class_uid, frame),) = frames_of([event]).items()
    rule = Rule("rule", "Rule", condition, (class_uid,))
    masked = any(True for _ in Engine([rule]).matches(frame))
    _database().register("events", nested(frame))
    where = render_filter(condition, class_uid)
    found = bool(_database().execute(f"SELECT 1 FROM events WHERE {where}").fetchall())  # noqa: S608 - rendered, as in use
    assert (masked, found) == (naive, naive)
    return naive
