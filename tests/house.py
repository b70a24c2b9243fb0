"""A house for tests of the data's way: real log, state and lake in a folder, and consumers on them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import sqlalchemy as sa

from columnar.batches import KEY
from tocsin.adapters.archive import Archive
from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.iceberg import IcebergLake, LakeReader
from tocsin.adapters.lake_sink import CONSUMER, FlushWhen, LakeSink
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.adapters.state_sink import StateSink
from tocsin.columnar.frame import Batch, frames
from tocsin.model import wire
from tocsin.model.event import Event
from tocsin.ports import LogEntry, NewEntry
from tocsin.state.dead_letters import put_aside
from tocsin.state.engine import open_state, reading
from tocsin.state.position import claim
from tocsin.state.tables import org
from tocsin.stream import Runner

DAY = 86_400_000
NOW = 20_000 * DAY


class ManualClock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.ms = NOW

    def now_ms(self) -> int:
        return self.ms

    def sleep(self, seconds: float) -> None:
        self.ms += int(1_000 * seconds)


class House:
    """Log, state and lake of one test, and consumers on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock()
        self.url = f"sqlite:///{folder / 'state.db'}"
        self.state = open_state(self.url)
        self.log = SqliteLog(folder / "log.db", partitions=2)
        self.lakes: list[IcebergLake] = []
        self._queries: list[DuckdbQuery] = []

    def append(
        self,
        sequence: int,
        origin: str = "h1",
        classes: Sequence[int] = (1007, 4001),
        org: str = "default",
        lie: int = 0,
    ) -> None:
        """One event per class, at NOW + sequence, whose message names the batch; a lie is off by so many sequences."""
        events = [Event(uid, {"time": NOW + sequence, "message": f"{origin}/{sequence}"}) for uid in classes]
        self.append_events(sequence, events, origin, org, lie)

    def append_events(
        self, sequence: int, events: Sequence[Event], origin: str = "h1", org: str = "default", lie: int = 0
    ) -> None:
        position = wire.ChainPosition(org, origin, "boot", 1, sequence + lie, b"")
        payload, _ = wire.seal(wire.encode_sections(events), position, KEY, created_at=NOW)
        self.log.append([NewEntry(org, origin, 1, sequence, NOW, payload)])

    def lake_sink(self, flush_when: FlushWhen | None = None) -> LakeSink:
        with self.state.begin() as connection:
            generation = claim(connection, CONSUMER, range(self.log.partitions), NOW)
        self.lakes.append(IcebergLake(self.url, self.folder / "lake", generation))
        archive = Archive(self.folder / "archive")
        return LakeSink(self.lakes[-1], archive, self.state, generation, self.clock, flush_when or FlushWhen(rows=1))

    def state_sink(self, seen: list[str]) -> StateSink[list[str]]:
        def judge(batches: Sequence[Batch]) -> list[str]:
            return [text for frame in frames(batches).values() for text in frame.table["message"].to_pylist()]

        def record(connection: sa.Connection, messages: list[str]) -> None:
            seen.extend(messages)
            if messages:
                connection.execute(
                    sa.insert(org), [{"id": message, "name": "", "created_at": 0} for message in set(messages)]
                )

        return StateSink(self.state, "detect", self.log.partitions, judge, record, self.clock)

    def runner(self, sink: LakeSink | StateSink[list[str]]) -> Runner:
        return Runner(self.log, sink, self.refuse)

    def refuse(self, entry: LogEntry, reason: str) -> None:
        with self.state.begin() as connection:
            put_aside(connection, "test", entry, reason)

    def stored(self, class_uid: int = 1007) -> Counter[str]:
        plan = LakeReader(self.state).plans().get(class_uid)
        if plan is None or not plan.files:
            return Counter()
        with duckdb.connect() as connection:
            files = [str(file.path) for file in plan.files]
            found = connection.execute("SELECT message FROM read_parquet(?)", [files]).fetchall()
        return Counter(message for (message,) in found)

    def rows(self, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
        with reading(self.state) as connection:
            return list(connection.execute(sa.select(table)))

    def query(self) -> DuckdbQuery:
        self._queries.append(DuckdbQuery(self.log, self.state, self.state))
        return self._queries[-1]

    def close(self) -> None:
        for query in self._queries:
            query.close()
        for lake in self.lakes:
            lake.close()
        self.log.close()
        self.state.dispose()


def drain(runner: Runner) -> None:
    while runner.step():
        pass


def append_for_ever(folder: Path) -> None:
    """A process that appends batch after batch, and notes each with a byte in `acknowledged` once it is durable."""
    house = House(folder)
    acknowledged = folder / "acknowledged"
    acknowledged.touch()
    sequence = acknowledged.stat().st_size
    with acknowledged.open("ab", buffering=0) as note:
        while True:
            house.append(sequence)
            note.write(b".")
            sequence += 1


def consume_for_ever(folder: Path) -> None:
    """A process that fills the lake, with a flush every few batches."""
    house = House(folder)
    house.runner(house.lake_sink(FlushWhen(rows=60))).run(threading.Event())


def wait_until(done: Callable[[], bool]) -> None:
    """Return once that is true; a minute is too long."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)
