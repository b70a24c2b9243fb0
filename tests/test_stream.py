"""The runner, with the real log, state and lake."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from columnar.batches import KEY
from house import NOW, House, drain, wait_until
from tocsin.adapters.lake_sink import CONSUMER, FlushWhen
from tocsin.columnar.decode import RecentBatches
from tocsin.columnar.frame import Batch
from tocsin.model import wire
from tocsin.model.errors import Fenced, OutOfSpace, TryLater
from tocsin.model.event import Event
from tocsin.ports import LakePosition, NewEntry
from tocsin.state.engine import reading
from tocsin.state.position import read_position
from tocsin.state.tables import consumer_offset, dead_letter, ledger, org
from tocsin.stream import Runner


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def test_everything_reaches_the_lake(house: House) -> None:
    """Batches of several origins and classes are all in the lake, once, after the runner was told to stop."""
    runner = house.runner(house.lake_sink(FlushWhen(rows=1_000)))
    for sequence in range(3):
        for origin in ("h1", "h2", "h3"):
            house.append(sequence, origin)
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    wait_until(lambda: sum(runner._offsets.values()) == 9)
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
    wait_until(lambda: len(sink.written) == 3)
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
        old._complete([])
    with reading(house.state) as connection:
        assert set(read_position(connection, CONSUMER).offsets.values()) == {0}
    assert {row.generation for row in house.rows(consumer_offset)} == {2}


def test_consumers_may_share_what_is_decoded(house: House) -> None:
    """Two consumers with one decoder get the same batches, each decoded once as long as it is recent."""
    recent = RecentBatches(max_batches=2)
    for sequence in range(3):
        house.append(sequence)
    partition = next(p for p in range(2) if house.log.bounds(p)[1])
    entries = house.log.read(partition, 0, max_bytes=1 << 20)
    first = [recent.decode(entry) for entry in entries]
    again = [recent.decode(entry) for entry in entries]
    assert [batch[0].sequence for batch in again] == [0, 1, 2]
    assert recent.decode(entries[2]) is again[2]
    assert first[0] is not again[0]
    seen: list[str] = []
    drain(Runner(house.log, house.state_sink(seen), house.refuse, recent.decode))
    assert len(seen) == 6
