"""The runner, with the real log, state and lake."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from columnar.batches import KEY
from tocsin.adapters.iceberg import IcebergLake, LakeReader
from tocsin.adapters.lake_sink import CONSUMER, FlushWhen, LakeSink
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.adapters.state_sink import StateSink
from tocsin.columnar.frame import Batch, frames
from tocsin.model import wire
from tocsin.model.errors import Fenced, OutOfSpace, TryLater
from tocsin.model.event import Event
from tocsin.ports import LakePosition, LogEntry, NewEntry
from tocsin.state.dead_letters import put_aside
from tocsin.state.engine import open_state, reading
from tocsin.state.position import claim, read_position
from tocsin.state.tables import consumer_offset, dead_letter, ledger, org
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
        self._lakes: list[IcebergLake] = []

    def append(self, sequence: int, origin: str = "h1", classes: Sequence[int] = (1007, 4001), **lies: int) -> None:
        events = [Event(uid, {"time": NOW + sequence, "message": f"{origin}/{sequence}"}) for uid in classes]
        position = wire.ChainPosition("default", origin, "boot", 1, sequence + lies.get("lie", 0), b"")
        payload, _ = wire.seal(wire.encode_sections(events), position, KEY, created_at=NOW)
        self.log.append([NewEntry("default", origin, 1, sequence, NOW, payload)])

    def lake_sink(self, flush_when: FlushWhen | None = None) -> LakeSink:
        with self.state.begin() as connection:
            generation = claim(connection, CONSUMER, range(self.log.partitions), NOW)
        self._lakes.append(IcebergLake(self.url, self.folder / "lake", generation))
        return LakeSink(self._lakes[-1], self.state, generation, self.clock, flush_when or FlushWhen(rows=1))

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

    def close(self) -> None:
        for lake in self._lakes:
            lake.close()
        self.log.close()
        self.state.dispose()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def drain(runner: Runner) -> None:
    while runner.step():
        pass


def test_everything_reaches_the_lake(house: House) -> None:
    """Batches of several origins and classes are all in the lake, once, after the runner was told to stop."""
    runner = house.runner(house.lake_sink(FlushWhen(rows=1_000)))
    for sequence in range(3):
        for origin in ("h1", "h2", "h3"):
            house.append(sequence, origin)
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    stop.wait(0.3)
    stop.set()
    thread.join()
    wanted = Counter(f"h{i}/{s}" for i in (1, 2, 3) for s in range(3))
    assert house.stored(1007) == house.stored(4001) == wanted


def test_a_batch_that_the_log_holds_twice_counts_once(house: House) -> None:
    """A repeated batch is dropped, whether it follows at once, in a later step, or after a restart."""
    runner = house.runner(house.lake_sink())
    house.append(0)
    house.append(0)
    drain(runner)
    house.append(0)
    house.append(1)
    drain(runner)
    house.runner(house.lake_sink()).step()
    house.append(1)
    last = house.lake_sink()
    drain(house.runner(last))
    last.flush()
    assert house.stored() == {"h1/0": 1, "h1/1": 1}


def test_rows_are_held_until_a_flush_is_due(house: House) -> None:
    """Few rows wait for company; age makes them due, without any new batch."""
    runner = house.runner(house.lake_sink(FlushWhen(rows=1_000, age_s=30)))
    house.append(0)
    drain(runner)
    assert house.stored() == {}
    house.clock.ms += 31_000
    runner.step()
    assert house.stored() == {"h1/0": 1}


def test_what_was_held_is_read_again(house: House) -> None:
    """Rows that a process held when it died are in the log, and reach the lake through the next one."""
    drain(house.runner(house.lake_sink(FlushWhen(rows=1_000))))
    house.append(0)
    drain(house.runner(house.lake_sink(FlushWhen(rows=1_000))))
    sink = house.lake_sink()
    drain(house.runner(sink))
    sink.flush()
    assert house.stored() == {"h1/0": 1}


def test_a_flush_that_stopped_half_way_is_completed(house: House) -> None:
    """One table committed, the other not, no complete position: the replay writes the other only."""
    sink = house.lake_sink(FlushWhen(rows=1_000))
    house.append(0)
    drain(house.runner(sink))
    sink._append(1007)
    house.append(1)
    again = house.lake_sink(FlushWhen(rows=1_000))
    drain(house.runner(again))
    again.flush()
    assert house.stored(1007) == house.stored(4001) == {"h1/0": 1, "h1/1": 1}


def test_a_rare_class_is_not_replayed(house: House) -> None:
    """A class without rows for long does not hold the position back."""
    sink = house.lake_sink()
    runner = house.runner(sink)
    house.append(0, classes=[3002])
    for sequence in range(1, 4):
        house.append(sequence, classes=[1007])
        drain(runner)
    sink.flush()
    partition = next(p for p in range(2) if house.log.bounds(p)[1])
    assert house.lake_sink().position().offsets[partition] == 4


def test_an_unreadable_batch_is_put_aside_and_the_rest_goes_on(house: House) -> None:
    """Garbage and a batch filed under another's name become dead letters with offset and reason, once."""
    house.append(0)
    house.log.append([NewEntry("default", "h1", 1, 1, NOW, b"garbage")])
    house.append(2, lie=7)
    house.append(3)
    seen: list[str] = []
    drain(house.runner(house.state_sink(seen)))
    drain(house.runner(house.lake_sink()))
    assert sorted(set(seen)) == ["h1/0", "h1/3"]
    letters = house.rows(dead_letter)
    assert sorted(letter.offset for letter in letters) == [1, 2]
    assert "cannot be read" in letters[0].reason
    assert "filed as" in letters[1].reason


def test_output_ledger_and_position_move_together(house: House) -> None:
    """A state sink's rows, ledger entries and offsets are all there or none is."""
    seen: list[str] = []
    sink = house.state_sink(seen)
    house.append(0, classes=[1007])
    drain(house.runner(sink))
    assert [(row.agent, row.sequence, row.rows, row.tombstone) for row in house.rows(ledger)] == [("h1", 0, 1, False)]
    assert [row.id for row in house.rows(org)] == ["h1/0"]
    house.append(1, classes=[1007])
    newer = house.state_sink(seen)
    with pytest.raises(Fenced):
        house.runner(sink).step()
    assert [row.id for row in house.rows(org)] == ["h1/0"]
    assert len(house.rows(ledger)) == 1
    drain(house.runner(newer))
    assert [row.id for row in house.rows(org)] == ["h1/0", "h1/1"]


def test_a_tombstone_is_entered_as_such(house: House) -> None:
    """A batch whose body was dropped keeps its place in the ledger and has no rows anywhere."""
    position = wire.ChainPosition("default", "h1", "boot", 1, 0, b"")
    payload, _ = wire.seal(wire.encode_sections([Event(1007, {"time": NOW})]), position, KEY, created_at=NOW)
    house.log.append([NewEntry("default", "h1", 1, 0, NOW, wire.tombstone(payload, KEY))])
    seen: list[str] = []
    drain(house.runner(house.state_sink(seen)))
    assert seen == []
    assert [(row.rows, row.tombstone) for row in house.rows(ledger)] == [(1, True)]


class _Stuck:
    """A sink whose disk is full a few times."""

    name = "stuck"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.written: list[int] = []

    def position(self) -> LakePosition:
        return LakePosition({}, {})

    def write(self, batches: Sequence[Batch], position: LakePosition) -> None:
        if batches and self.failures:
            self.failures -= 1
            raise OutOfSpace("no room")
        self.written += [entry.sequence for entry, _, _ in batches]
        assert position.offsets

    def close(self) -> None:
        self.written.append(-1)


def test_a_sink_that_cannot_write_is_tried_again(house: House) -> None:
    """The same batches come again until they are taken; nothing is skipped, nothing doubled."""
    for sequence in range(3):
        house.append(sequence)
    sink = _Stuck(failures=2)
    runner = Runner(house.log, sink, house.refuse)
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    stop.wait(0.8)
    stop.set()
    thread.join()
    assert sink.written == [0, 1, 2, -1]


def test_a_step_without_a_stop_says_so(house: House) -> None:
    """A single step does not wait for a sink that cannot write, and has not moved past its batches."""
    house.append(0)
    sink = _Stuck(failures=1)
    runner = Runner(house.log, sink, house.refuse)
    with pytest.raises(TryLater):
        runner.step()
    assert sink.written == []
    drain(runner)
    assert sink.written == [0]


def test_a_runner_stops_while_its_sink_cannot_write(house: House) -> None:
    """Told to stop in the middle of retries, a runner stops in good order."""
    house.append(0)
    sink = _Stuck(failures=1_000)
    stop = threading.Event()
    thread = threading.Thread(target=Runner(house.log, sink, house.refuse).run, args=(stop,))
    thread.start()
    stop.wait(0.2)
    stop.set()
    thread.join(timeout=5)
    assert sink.written == [-1]


def test_an_older_lake_owner_cannot_complete(house: House) -> None:
    """After a newer owner has claimed the lake, the older one's flush is refused and moves nothing."""
    old = house.lake_sink(FlushWhen(rows=1_000))
    house.append(0)
    drain(house.runner(old))
    house.lake_sink()
    with pytest.raises(Fenced):
        old._complete()
    with reading(house.state) as connection:
        assert set(read_position(connection, CONSUMER).offsets.values()) == {0}
    assert {row.generation for row in house.rows(consumer_offset)} == {2}
