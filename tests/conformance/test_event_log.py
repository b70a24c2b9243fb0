"""The promises of `EventLog`, held by every adapter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.ports import EventLog, NewEntry

Open = Callable[[], EventLog]
ALL = 1 << 30


def _sqlite(folder: Path) -> EventLog:
    return SqliteLog(folder / "log.db", partitions=3)


@pytest.fixture(params=[_sqlite], ids=["sqlite"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same log again and again, as several processes would."""
    opened: list[EventLog] = []

    def open_() -> EventLog:
        opened.append(request.param(tmp_path))
        return opened[-1]

    yield open_
    for log in opened:
        log.close()


def entry(sequence: int, origin: str = "h1", size: int = 10, received_at: int = 0) -> NewEntry:
    return NewEntry("default", origin, 1, sequence, received_at or 1_000 + sequence, bytes([sequence % 256]) * size)


def everything(log: EventLog) -> list[tuple[str, int]]:
    return [(e.origin, e.sequence) for p in range(log.partitions) for e in log.read(p, log.bounds(p)[0], max_bytes=ALL)]


def test_entries_come_back_as_they_were(open_log: Open) -> None:
    """What is read is what was appended, with its place; another opening reads the same."""
    log = open_log()
    new = entry(5)
    ((partition, offset),) = log.append([new])
    for reader in (log, open_log()):
        (read,) = reader.read(partition, offset, max_bytes=ALL)
        assert (read.partition, read.offset) == (partition, offset)
        assert (read.org, read.origin, read.epoch, read.sequence) == ("default", "h1", 1, 5)
        assert (read.received_at, read.payload) == (new.received_at, new.payload)


def test_an_origin_stays_in_order_in_one_partition(open_log: Open) -> None:
    """All of one origin is in one partition, in the order of appending; offsets are dense; origins spread."""
    log = open_log()
    places: dict[str, list[tuple[int, int]]] = {}
    for sequence in range(4):
        batch = [entry(sequence, f"h{i}") for i in range(20)]
        for new, place in zip(batch, log.append(batch), strict=True):
            places.setdefault(new.origin, []).append(place)
    assert all(len({p for p, _ in of_origin}) == 1 and of_origin == sorted(of_origin) for of_origin in places.values())
    offsets = [offset for of_origin in places.values() for _, offset in of_origin]
    assert len({p for of_origin in places.values() for p, _ in of_origin}) == log.partitions
    for p in range(log.partitions):
        assert [e.offset for e in log.read(p, 0, max_bytes=ALL)] == list(range(log.bounds(p)[1]))
    assert len(offsets) == 80 == len(everything(log))


def test_reading_is_bounded_but_never_starves(open_log: Open) -> None:
    """A read keeps to its size, yet an entry larger than that still comes, alone; going on loses nothing."""
    log = open_log()
    sizes = [100, 100, 5_000, 100, 100]
    partition = log.append([entry(i, size=size) for i, size in enumerate(sizes)])[0][0]
    reads: list[list[int]] = []
    offset = 0
    while entries := log.read(partition, offset, max_bytes=250):
        reads.append([e.sequence for e in entries])
        offset = entries[-1].offset + 1
    assert reads == [[0, 1], [2], [3, 4]]


def test_many_entries_are_read_in_order(open_log: Open) -> None:
    """A read that spans many entries gives them all, in order."""
    log = open_log()
    partition = log.append([entry(i) for i in range(500)])[0][0]
    assert [e.sequence for e in log.read(partition, 7, max_bytes=ALL)] == list(range(7, 500))


def test_an_empty_partition(open_log: Open) -> None:
    """Nothing appended: bounds are equal, and a read gives nothing, after its wait."""
    log = open_log()
    assert log.bounds(0) == (0, 0)
    started = time.monotonic()
    assert log.read(0, 0, max_bytes=ALL, wait_s=0.1) == []
    assert time.monotonic() - started >= 0.1


def test_a_waiting_reader_wakes_soon(open_log: Open) -> None:
    """A reader that waits gets an entry within some milliseconds of its append through another opening."""
    reader, writer = open_log(), open_log()
    partition = writer.append([entry(0)])[0][0]
    delays = []
    for sequence in range(1, 12):
        appended: list[float] = []

        def append(sequence: int = sequence, appended: list[float] = appended) -> None:
            time.sleep(0.03)
            writer.append([entry(sequence)])
            appended.append(time.monotonic())

        thread = threading.Thread(target=append)
        thread.start()
        (read,) = reader.read(partition, sequence, max_bytes=ALL, wait_s=5)
        woken = time.monotonic()
        thread.join()
        assert read.sequence == sequence
        delays.append(woken - appended[0])
    assert sorted(delays)[len(delays) // 2] < 0.02


def test_a_reader_sees_its_own_appends(open_log: Open) -> None:
    """Reading at the end, appending and reading again on one thread finds the entry at once."""
    log = open_log()
    partition = log.append([entry(0)])[0][0]
    for sequence in range(1, 4):
        assert log.read(partition, sequence, max_bytes=ALL) == []
        log.append([entry(sequence)])
        assert [e.sequence for e in log.read(partition, sequence, max_bytes=ALL)] == [sequence]


def test_offset_at_finds_the_first_of_a_time(open_log: Open) -> None:
    """A time maps to the first offset received at or after it, and to the end if there is none."""
    log = open_log()
    partition = log.append([entry(i, received_at=1_000 + 10 * i) for i in range(5)])[0][0]
    assert [log.offset_at(partition, t) for t in (0, 1_000, 1_001, 1_040, 1_041)] == [0, 0, 1, 4, 5]


def test_trimming_forgets_and_never_reuses(open_log: Open) -> None:
    """Trimmed entries are gone, offsets go on from where they were, even when everything was trimmed."""
    log = open_log()
    partition = log.append([entry(i) for i in range(5)])[0][0]
    log.trim(partition, 3)
    assert log.bounds(partition) == (3, 5)
    assert [e.offset for e in log.read(partition, 0, max_bytes=ALL)] == [3, 4]
    log.trim(partition, 5)
    assert log.bounds(partition) == (5, 5)
    assert log.append([entry(5)]) == [(partition, 5)]


def test_concurrent_appends_lose_nothing(open_log: Open) -> None:
    """Several writers, each with its own opening, get distinct places, and every entry is there once."""
    places: list[tuple[int, int]] = []

    def write(log: EventLog, origin: str) -> None:
        for sequence in range(0, 20, 2):
            places.extend(log.append([entry(sequence, origin), entry(sequence + 1, origin)]))

    shared = open_log()
    logs = [shared, shared, open_log(), open_log()]
    threads = [threading.Thread(target=write, args=(log, f"h{i}")) for i, log in enumerate(logs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(places)) == 80
    assert sorted(everything(open_log())) == sorted((f"h{i}", s) for i in range(4) for s in range(20))


def test_appending_nothing(open_log: Open) -> None:
    """An empty append is harmless."""
    assert open_log().append([]) == []
