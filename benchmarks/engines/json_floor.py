"""JSON decoding alone: no engine that reads JSON can be faster."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec
import orjson

from engines.setting import Measured, Task, cpu_s, made_events

__all__ = ["msgspec_typed", "orjson_whole", "stdlib_json"]


def msgspec_typed(task: Task) -> Measured:
    """Into a struct of the fields that rules look at; all others are skipped."""
    lines = _lines(task)
    names = sorted({name for line in lines for name in orjson.loads(line)} - {"UtcTime", "ProcessId", "Computer"})
    event = msgspec.defstruct("Event", [(name, str | int | None, None) for name in names], gc=False)
    return _timed(lines, msgspec.json.Decoder(event).decode)


def orjson_whole(task: Task) -> Measured:
    """Into dicts."""
    return _timed(_lines(task), orjson.loads)


def stdlib_json(task: Task) -> Measured:
    """Into dicts, by Python's own."""
    return _timed(_lines(task), json.loads)


def _lines(task: Task) -> list[bytes]:
    return [orjson.dumps(event) for event in made_events(task)]


def _timed(lines: Sequence[bytes], decode: Callable[[bytes], object]) -> Measured:
    started = cpu_s()
    for line in lines:
        decode(line)
    return Measured(len(lines), cpu_s() - started, {})
