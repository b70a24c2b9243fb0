"""The log's tail in memory: few chunks, cut as the lake grows, and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from house import House, drain
from tocsin.adapters.hot_rows import Chunk, HotRows
from tocsin.adapters.lake_sink import FlushWhen
from tocsin.model.errors import TryLater


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def messages(chunks: tuple[Chunk, ...]) -> list[str]:
    return sorted(text for chunk in chunks for text in chunk.rows["message"].to_pylist())


def test_many_small_reads_become_few_chunks(house: House) -> None:
    """A hundred looks at a growing log leave a handful of chunks per class, with every event once."""
    hot = HotRows(house.log, house.state)
    for i in range(100):
        house.append(i, f"h{i % 5}", classes=(1007,))
        _, chunks = hot.refresh()
    assert len(chunks) < 10
    assert messages(chunks) == sorted(f"h{i % 5}/{i}" for i in range(100))


def test_what_the_lake_has_taken_is_forgotten(house: House) -> None:
    """After a flush only what came since is held, whatever chunks it had been merged with."""
    hot = HotRows(house.log, house.state)
    sink = house.lake_sink(FlushWhen(rows=1_000))
    runner = house.runner(sink)
    for i in range(6):
        house.append(i, f"h{i % 2}")
    hot.refresh()
    drain(runner)
    for i in range(6, 8):
        house.append(i, f"h{i % 2}")
    hot.refresh()
    sink.flush()
    _, chunks = hot.refresh()
    assert messages(chunks) == ["h0/6", "h0/6", "h1/7", "h1/7"]


def test_a_tail_that_does_not_fit_is_refused_until_the_lake_catches_up(house: House) -> None:
    """Beyond the bound nothing more is read and every question is told to come later; then all is as before."""
    hot = HotRows(house.log, house.state, max_rows=20)
    for i in range(20):
        house.append(i)
        if i < 10:
            hot.refresh()
    for _ in range(2):
        with pytest.raises(TryLater, match="over 20 events are not in the lake yet"):
            hot.refresh()
    sink = house.lake_sink(FlushWhen(rows=1_000))
    drain(house.runner(sink))
    sink.flush()
    house.append(20, classes=(1007,))
    _, chunks = hot.refresh()
    assert messages(chunks) == ["h1/20"]


def test_a_writer_that_never_pauses_does_not_hold_a_question_up(house: House) -> None:
    """What was in the log when the question came is read, not all that comes while it is."""

    class Growing:
        """The log, to which somebody appends after every read."""

        partitions = house.log.partitions
        bounds = staticmethod(house.log.bounds)
        appended = 1

        def read(self, partition: int, offset: int, *, max_bytes: int) -> object:
            found = house.log.read(partition, offset, max_bytes=max_bytes)
            house.append(self.appended, classes=(1007,))
            self.appended += 1
            assert self.appended < 100, "reads whatever comes"
            return found

    house.append(0, classes=(1007,))
    _, chunks = HotRows(Growing(), house.state).refresh()  # type: ignore[arg-type]
    assert "h1/0" in messages(chunks)
