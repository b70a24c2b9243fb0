"""Sigma engines on the same rules and the same events, one process each, in CPU seconds of one core.

    python benchmarks/detection.py --rsigma PATH

Rules are SigmaHQ's, in an order that depends on their ids alone; events are made up from a seed. The first events,
a tenth and at least 24,576, warm our engine up: what it learns from them is told apart. Hits of every rule must be the
same whoever counts them. Exit code 1 if they are not, or if a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from engines.json_floor import msgspec_typed, orjson_whole, stdlib_json
from engines.ours import from_arrow, from_lines, kept_memory, reloaded
from engines.python_rules import python_rules
from engines.rsigma import rsigma
from engines.setting import Measured, Task
from engines.sqlite_route import sqlite_route
from report import machine, table

DATA: Final = os.environ.get("TOCSIN_TEST_DATA", str(Path(__file__).parent.parent.parent / "shared" / "data"))
RULES: Final = (100, 1000, 3000)
FRESH: Final = (0.1, 0.4, 1.0)
SIZES: Final = (256, 4096, 65_536)
GOALS: Final = {100: 300_000, 1000: 150_000, 3000: 120_000}  # events a second from Arrow batches of 4,096
USUAL: Final = 0.4
MANY, SOME, FEW = 204_800, 40_960, 2_048
ARROW, LINES, RELOAD, MEMORY, RSIGMA = "arrow", "lines", "reload", "memory", "rsigma"
FUNCTIONS, SQLITE = "functions", "sqlite"
FLOOR: Final = {"msgspec, only fields of rules": msgspec_typed, "orjson": orjson_whole, "Python's own": stdlib_json}
Engine = Callable[[Task], Measured]


def engines(rsigma_path: str) -> dict[str, Engine]:
    """All that can be measured, by name."""
    return {
        **{f"{ARROW} {size}": partial(from_arrow, size=size) for size in SIZES},
        LINES: from_lines,
        RELOAD: reloaded,
        MEMORY: kept_memory,
        RSIGMA: partial(rsigma, command=rsigma_path),
        FUNCTIONS: python_rules,
        SQLITE: sqlite_route,
        **FLOOR,
    }


class Bench:
    """Measures each thing once, in a process of its own, so that memory is the engine's."""

    def __init__(self, rsigma_path: str, events: int) -> None:
        self._rsigma = rsigma_path
        self._known: dict[Task, Measured] = {}
        self.many = events

    def of(self, engine: str, rules: int, events: int, fresh: float = USUAL) -> Measured:
        """The engine's measurement."""
        task = Task(engine, rules, events, fresh, DATA)
        if task not in self._known:
            print(f"{engine}, {rules} rules, {events} events, {fresh:.0%} fresh ...", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--rsigma", self._rsigma, "--one", msgspec.json.encode(task).decode()]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            self._known[task] = msgspec.json.decode(done.stdout, type=Measured)
        return self._known[task]


def speed(found: Measured, *, decoding: bool = False) -> float:
    """Events per second, with or without what decoding took."""
    return found.events / (found.match_s + found.decode_s * decoding)


def compared(bench: Bench) -> str:
    """All engines at 40 % fresh command lines."""
    rows = [
        ("Tocsin, Arrow batches of 4,096", [speed(bench.of("arrow 4096", n, bench.many)) for n in RULES]),
        ("Tocsin, JSON decoding counted", [speed(bench.of(LINES, n, bench.many)) for n in RULES]),
        ("rsigma, events decoded", [speed(bench.of(RSIGMA, n, SOME)) for n in RULES]),
        ("rsigma, JSON decoding counted", [speed(bench.of(RSIGMA, n, SOME), decoding=True) for n in RULES]),
        ("a Python function per rule", [speed(bench.of(FUNCTIONS, n, FEW)) for n in RULES]),
        ("SQLite, events in the table", [speed(bench.of(SQLITE, n, FEW)) for n in RULES]),
        ("SQLite, filling the table counted", [speed(bench.of(SQLITE, n, FEW), decoding=True) for n in RULES]),
    ]
    rows += [(f"JSON decoding alone: {name}", [speed(bench.of(name, 0, SOME))] * 3) for name in FLOOR]
    head = ("Events a second on one core", *(f"{n:,} rules" for n in RULES))
    return table("Engines, 40 % fresh command lines", head, [(name, *map(_number, found)) for name, found in rows])


def ours(bench: Bench) -> str:
    """Our engine at other batch sizes and shares of fresh command lines."""
    rows = [
        (
            f"{fresh:.0%} fresh, batches of {size:,}",
            *(_number(speed(bench.of(f"arrow {size}", n, bench.many, fresh))) for n in RULES),
        )
        for fresh in FRESH
        for size in SIZES
        if fresh == USUAL or size == 4096
    ]
    return table("Tocsin, events a second on one core, from Arrow", ("", *(f"{n:,} rules" for n in RULES)), rows)


def costs(bench: Bench) -> str:
    """Compile time, latency, memory."""
    small = [bench.of("arrow 256", n, bench.many) for n in RULES]
    usual = [bench.of("arrow 4096", n, bench.many) for n in RULES]
    changes = [bench.of(RELOAD, n, SOME) for n in RULES]
    rows = [
        ("compile: conditions to nodes and keys, s", *(f"{each.compile_s:.2f}" for each in usual)),
        ("read the rules' files, s", *(f"{each.decode_s:.2f}" for each in changes)),
        ("replace one rule, until the next batch is judged, ms", *(f"{each.compile_s * 1e3:.0f}" for each in changes)),
        ("p99 of a batch of 256, ms of CPU", *(f"{each.p99_ms:.1f}" for each in small)),
        ("learn what is rare, once at the start, s", *(f"{each.learn_s:.2f}" for each in usual)),
        ("memory that the engine keeps, MiB", *(f"{bench.of(MEMORY, n, SOME).memory_mib:.0f}" for n in RULES)),
        ("memory of rsigma, whole process, MiB", *(f"{bench.of(RSIGMA, n, SOME).memory_mib:.0f}" for n in RULES)),
    ]
    return table("Tocsin, costs", ("", *(f"{n:,} rules" for n in RULES)), rows)


def goals(bench: Bench) -> Iterator[tuple[str, bool]]:
    """Each goal with what was measured, and whether it is met."""
    for n, goal in GOALS.items():
        found = speed(bench.of("arrow 4096", n, bench.many))
        yield f"{n:,} rules: {found:,.0f} of {goal:,} events/s", found >= goal
        found = speed(bench.of("arrow 4096", n, bench.many, 1.0))
        yield f"{n:,} rules, all command lines fresh: {found:,.0f} of {goal // 2:,} events/s", found >= goal / 2
    for n in RULES[1:]:
        peer = bench.of(RSIGMA, n, SOME)
        ratio = speed(bench.of("arrow 4096", n, bench.many)) / speed(peer)
        yield f"{n:,} rules: {ratio:.1f} times rsigma, events decoded; 5 wanted", ratio >= 5
        ratio = speed(bench.of(LINES, n, bench.many)) / speed(peer, decoding=True)
        yield f"{n:,} rules: {ratio:.1f} times rsigma, from JSON; 5 wanted", ratio >= 5
    p99_ms = bench.of("arrow 256", 1000, bench.many).p99_ms
    yield f"p99 of a batch of 256 at 1,000 rules: {p99_ms:.1f} ms; below 5 wanted", p99_ms < 5
    change = bench.of(RELOAD, 3000, SOME)
    whole_s = bench.of("arrow 4096", 3000, bench.many).compile_s + change.decode_s
    yield f"3,000 rules read and compiled in {whole_s:.2f} s; below 3 wanted", whole_s < 3
    yield f"one of 3,000 rules replaced in {change.compile_s * 1e3:.0f} ms; below 100 wanted", change.compile_s < 0.1


def agreement(bench: Bench) -> Iterator[tuple[str, bool]]:
    """Do all count the same hits for every rule on the same events?"""
    for n in RULES:
        for events, others in ((SOME, (RSIGMA, LINES)), (FEW, (FUNCTIONS, SQLITE))):
            own = bench.of("arrow 256", n, events).hits
            for other in others:
                theirs = bench.of(other, n, events).hits
                differ = sorted(rule for rule in own.keys() | theirs.keys() if own.get(rule, 0) != theirs.get(rule, 0))
                text = f"{n:,} rules, {events:,} events, {sum(own.values()):,} hits of {len(own)} rules, {other}: "
                yield text + (f"{len(differ)} rules differ, e.g. {differ[0]}" if differ else "the same"), not differ


def _number(value: float) -> str:
    return f"{value:,.0f}"


def main() -> int:
    """Print the tables; 1 if a goal is missed or hits differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rsigma", default=shutil.which("rsigma") or "rsigma", help="path of the peer's binary")
    parser.add_argument("--events", type=int, default=MANY, help="events for our engine; a peer gets fewer")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        task = msgspec.json.decode(options.one, type=Task)
        sys.stdout.buffer.write(msgspec.json.encode(engines(options.rsigma)[task.engine](task)))
        return 0
    if not shutil.which(options.rsigma):
        print("rsigma is the peer: cargo install rsigma --locked, then --rsigma PATH", file=sys.stderr)
        return 2
    bench = Bench(options.rsigma, options.events)
    held = True
    for made in (compared, ours, costs):
        print(made(bench), flush=True)
    for title, checks in (("Goals", goals(bench)), ("Hits", agreement(bench))):
        print(f"## {title}\n")
        for text, good in checks:
            print(f"- {'held' if good else 'MISSED'}: {text}", flush=True)
            held &= good
        print(f"\n{machine()}\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
