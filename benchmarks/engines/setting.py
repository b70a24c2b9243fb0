"""What every engine is given, and what it must tell."""

from __future__ import annotations

import hashlib
import resource
import time
from pathlib import Path

import msgspec

from fleet_events import Fields, events
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.rule import Rule

__all__ = ["Measured", "Task", "chosen_rules", "cpu_s", "held_mib", "made_events"]


class Task(msgspec.Struct, frozen=True):
    """One run: an engine, so many rules, so many events, a share of fresh command lines."""

    engine: str
    rules: int
    events: int
    fresh: float
    data: str  # folder of the public rules


class Measured(msgspec.Struct, frozen=True):
    """CPU seconds of one core; hits by rule id."""

    events: int
    match_s: float
    hits: dict[str, int]
    compile_s: float = 0.0
    p99_ms: float = 0.0
    memory_mib: float = 0.0  # what the engine added to the process
    decode_s: float = 0.0  # of what has not been counted as matching
    learn_s: float = 0.0  # of the first batches, more than of others


def chosen_rules(task: Task) -> list[Rule]:
    """The first so many of the public rules in an order that depends on nothing but their ids."""
    rules = load([Path(task.data) / "sigma"], RAW).rules
    return sorted(rules, key=lambda rule: hashlib.sha256(rule.id.encode()).digest())[: task.rules]


def made_events(task: Task) -> list[Fields]:
    """The events, the same for every engine."""
    return list(events(task.events, task.fresh))


def cpu_s() -> float:
    """CPU time of this process so far."""
    return time.process_time()


def held_mib() -> float:
    """The memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
