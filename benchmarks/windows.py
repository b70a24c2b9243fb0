"""What windows cost: matches per CPU second and memory, in memory alone and all the way through the state.

    python benchmarks/windows.py [--groups 100000] [--matches 400000]

In memory: matches of so many groups, in steps of 1,000. Through the state: the detector's part (rows in a transaction)
and the correlator's (read, judge, commit) on SQLite in a folder, with fsync.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from report import table
from tocsin.detect.window import store
from tocsin.detect.window.collect import Seen
from tocsin.detect.window.match import Match
from tocsin.detect.window.stored_event import stored_event
from tocsin.detect.window.windows import Windows
from tocsin.model.correlation import Bound, Comparison, Correlation, CorrelationType, Member
from tocsin.model.event import Event
from tocsin.state.engine import open_state, reading

STEP = 1_000
START_MS = 1_750_000_000_000
EVENT = Event(
    3002,
    {
        "time": START_MS,
        "metadata.tenant_uid": "org",
        "device.uid": "h1",
        "device.hostname": "web-1",
        "user.name": "root",
        "src_endpoint.ip": "192.0.2.7",
        "message": "Failed password for root from 192.0.2.7 port 51234 ssh2",
    },
)


def correlation(kind: CorrelationType, limit: float) -> Correlation:
    return Correlation(
        id="x",
        title="x",
        type=kind,
        members=(Member("a"), Member("b")),
        timespan_ms=600_000,
        bounds=(Bound(Comparison.AT_LEAST, limit),),
        group_by=("user", "ip"),
        alert_by=("user", "ip"),
    )


def matches(count: int, groups: int) -> Iterator[Match]:
    """Matches of random groups, four a millisecond apart, some out of order."""
    rng = random.Random(5)  # noqa: S311 -- repeatable
    for number in range(count):
        at = START_MS + number // 4 - rng.randrange(2_000)
        group = rng.randrange(groups)
        yield Match(
            at,
            f"{at:012x}{number:05x}-0123456789abcdef",
            "org",
            "x",
            rng.choice("ab"),
            (f"user{group % 1000}", f"10.{group >> 16}.{group >> 8 & 255}.{group & 255}"),
            (str(rng.randrange(100)),),
        )


def memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def in_memory(name: str, kind: CorrelationType, limit: float, groups: int, count: int) -> list[str]:
    """One row: one correlation over so many matches, whose making is not timed."""
    before_mb = memory_mb()
    made = matches(count, groups)
    windows, fired, took_s = Windows([correlation(kind, limit)]), 0, 0.0
    while taken := list(islice(made, STEP)):
        started = time.process_time()
        step = windows.step(taken, {"org": taken[0].time - 10_000})
        took_s += time.process_time() - started
        fired += len(step.firings)
    held = windows.held
    return [
        name,
        f"{groups:,}",
        f"{count / took_s:,.0f}",
        f"{held[0]:,}",
        f"{held[1]:,}",
        f"{memory_mb() - before_mb:.0f}",
        f"{fired:,}",
    ]


def through_the_state(folder: Path, groups: int, count: int) -> list[list[str]]:
    """Two rows: what the detector's transaction costs for matches, and what reading and judging them does."""
    engine = open_state(f"sqlite:///{folder / 'state.db'}")
    versions = {("org", "x"): "1"}
    made = list(matches(count, groups))

    def keep() -> None:
        for at in range(0, count, STEP):
            seen = [Seen((match,), stored_event(EVENT)) for match in made[at : at + STEP]]
            with engine.begin() as connection:
                store.keep(connection, seen, {("org", "h1"): made[at].time}, versions, START_MS)

    def read() -> None:
        windows = Windows([correlation(CorrelationType.EVENT_COUNT, 5)])
        number = 0
        while True:
            with reading(engine) as connection:
                arrived = store.read_after(connection, number, 0, versions)
            if arrived.head == number:
                return
            step = windows.step(arrived.matches)
            with engine.begin() as connection:
                store.remember(connection, step.told, {"org": START_MS}, versions)
            number = arrived.head

    rows = [_timed("rows written by the detector", keep, count), _timed("rows read and judged", read, count)]
    size = (folder / "state.db").stat().st_size / count
    rows.append(["state on disk", f"{size:,.0f} bytes a match"])
    engine.dispose()
    return rows


def _timed(name: str, work: Callable[[], None], count: int) -> list[str]:
    started = time.process_time()
    work()
    return [name, f"{count / (time.process_time() - started):,.0f} matches per CPU second"]


def main() -> int:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=100_000)
    parser.add_argument("--matches", type=int, default=400_000)
    options = parser.parse_args()
    head = ["Windows in memory", "Groups", "Matches per CPU second", "Groups held", "Matches held", "MB", "Firings"]
    kinds = CorrelationType
    of_all = [
        ("event_count, at least 20", kinds.EVENT_COUNT, 20, options.groups, options.matches),
        ("event_count, at least 5, fires", kinds.EVENT_COUNT, 5, options.groups, options.matches),
        ("value_count, at least 20", kinds.VALUE_COUNT, 20, options.groups, options.matches),
        ("temporal_ordered, both", kinds.TEMPORAL_ORDERED, 2, options.groups, options.matches),
        ("value_median, waits", kinds.VALUE_MEDIAN, 99.5, options.groups, options.matches),
        ("event_count, 100 groups at their limit", kinds.EVENT_COUNT, 2_000_000, 100, options.matches // 8),
    ]
    # A process each, so that one does not use the memory that another has left.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as one:
        rows = list(one.map(in_memory, *zip(*of_all, strict=True)))
    print(table("Windows", head, rows))
    with tempfile.TemporaryDirectory() as folder:
        found = through_the_state(Path(folder), options.groups, options.matches // 4)
    print(table("Through the state", ["Step", "Measured"], found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
