"""Tocsin's engine, from Arrow batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from engines.setting import Measured, Task, chosen_rules, cpu_s, made_events, peak_mib
from fleet_events import Fields
from tocsin.columnar.frame import Frame
from tocsin.detect.evaluate.engine import Engine
from tocsin.model.condition import SOURCE
from tocsin.model.event import batch_id  # noqa: F401

__all__ = ["arrow_frames", "from_arrow"]

_WARM_SHARE = 0.1  # of the events, to learn from and fill caches


def arrow_frames(made: Sequence[Fields], size: int) -> Iterator[Frame]:
    """The events as dictionary-encoded columns, so many to a batch."""
    for start in range(0, len(made), size):
        some = made[start : start + size]
        names = list(dict.fromkeys(key for event in some for key in event))
        columns = [pa.array([_text(event.get(name)) for event in some], pa.string()) for name in names]
        paths = [f"{SOURCE}.{name}" for name in names]
        yield Frame(0, pa.table([column.dictionary_encode() for column in columns], names=paths))


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def from_arrow(task: Task, size: int) -> Measured:
    """All events once, in batches of `size`; the first tenth warms up and is not counted."""
    rules = chosen_rules(task)
    warm = int(task.events * _WARM_SHARE) // size * size or size
    made = made_events(task)
    batches = list(arrow_frames(made, size))
    before = peak_mib()
    started = cpu_s()
    engine = Engine(rules)
    compile_s = cpu_s() - started
    hits: Counter[str] = Counter()
    took: list[float] = []
    for batch in batches:
        started = cpu_s()
        for rule, rows in engine.matches(batch):
            hits[rule.id] += len(rows)
        took.append(cpu_s() - started)
    counted = took[warm // size :]
    return Measured(
        events=len(made) - warm,
        match_s=sum(counted),
        hits=dict(hits),
        compile_s=compile_s,
        p99_ms=float(np.percentile(counted, 99)) * 1e3,
        memory_mib=peak_mib() - before,
    )
