"""Tocsin's engine, from Arrow batches and from JSON lines."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from engines.setting import Measured, Task, chosen_rules, cpu_s, held_mib, made_events
from fleet_events import Fields
from tocsin.columnar.frame import Frame
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.evaluate.raw import RawRules
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.condition import SOURCE
from tocsin.model.rule import Rule

__all__ = ["arrow_frames", "from_arrow", "from_lines", "kept_memory", "reloaded"]

_WARM_SHARE = 0.1  # of the events, to learn from
_LEARNED = 24_576  # events after which the engine has learned twice and will not again before a million
_BLOCK = 8_192  # lines


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
    """All events once, in batches of `size`."""
    rules = chosen_rules(task)
    batches = list(arrow_frames(made_events(task), size))
    started = cpu_s()
    engine = Engine(rules)
    compile_s = cpu_s() - started
    hits: Counter[str] = Counter()

    def judge(batch: Frame) -> None:
        for rule, rows in engine.matches(batch):
            hits[rule.id] += len(rows)

    took = _timed(judge, batches)
    warm = min(max(int(len(took) * _WARM_SHARE), -(-_LEARNED // size)), len(took) - 1)
    counted = took[warm:]
    usual = float(np.median(counted))
    return Measured(
        events=min(task.events - warm * size, len(counted) * size),
        match_s=sum(counted),
        hits=dict(hits),
        compile_s=compile_s,
        p99_ms=float(np.percentile(counted, 99)) * 1e3,
        learn_s=sum(took[:warm]) - usual * warm,
    )


def kept_memory(task: Task) -> Measured:
    """What the engine keeps once it has learned, in a process that has held nothing else before."""
    rules, context = chosen_rules(task), multiprocessing.get_context("spawn")
    receive: multiprocessing.SimpleQueue[float] = context.SimpleQueue()
    child = context.Process(target=_keep, args=(task, rules, receive))
    child.start()
    child.join()
    return Measured(task.events, 0, {}, memory_mib=receive.get())


def _keep(task: Task, rules: Sequence[Rule], tell: multiprocessing.SimpleQueue[float]) -> None:
    batches = list(arrow_frames(made_events(task), 4096))
    first, *others = batches
    list(Engine(rules[:1]).matches(first))  # what is imported or made at the first use
    before = _settled_mib()
    engine = Engine(rules)
    for batch in others:
        list(engine.matches(batch))
    tell.put(_settled_mib() - before)


def _settled_mib() -> float:
    """The memory that is held when all that was freed has been given back."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    return held_mib()


def _timed(judge: Callable[[Frame], object], batches: Sequence[Frame]) -> list[float]:
    """CPU seconds per batch."""
    gc.freeze()  # as a long-running process does with what it has loaded
    took = []
    for batch in batches:
        started = cpu_s()
        judge(batch)
        took.append(cpu_s() - started)
    return took


def from_lines(task: Task) -> Measured:
    """The same from NDJSON, as `tocsin rules run --source raw` does it."""
    lines = [msgspec.json.encode(event) for event in made_events(task)]
    raw = RawRules(chosen_rules(task))
    gc.freeze()
    gc.set_threshold(200_000)  # as the command does
    warm = min(max(int(len(lines) * _WARM_SHARE), _LEARNED), len(lines) // 2) // _BLOCK * _BLOCK
    hits: Counter[str] = Counter(
        rule.id for at in range(0, warm, _BLOCK) for _, rule in raw.judge(lines[at : at + _BLOCK]).matches
    )
    started = cpu_s()
    for start in range(warm, len(lines), _BLOCK):
        hits.update(rule.id for _, rule in raw.judge(lines[start : start + _BLOCK]).matches)
    return Measured(len(lines) - warm, cpu_s() - started, dict(hits))


def reloaded(task: Task) -> Measured:
    """One rule of a running engine replaced; and what reading the rules' files takes."""
    started = cpu_s()
    share = task.rules / len(load([Path(task.data) / "sigma"], RAW).rules)
    read_s = (cpu_s() - started) * share
    rules = chosen_rules(task)
    batches = list(arrow_frames(made_events(task), 4096))
    engine = Engine(rules)
    _timed(lambda batch: list(engine.matches(batch)), batches)
    (usual_s,) = _timed(lambda batch: list(engine.matches(batch)), batches[-1:])
    changed = dataclasses.replace(rules[0], condition=rules[-1].condition, title="changed")
    started = cpu_s()
    list(Engine([changed, *rules[1:]], like=engine).matches(batches[-1]))
    return Measured(task.events, 0, {}, cpu_s() - started - usual_s, decode_s=read_s)
