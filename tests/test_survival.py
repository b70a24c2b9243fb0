"""kill -9 at random moments: of the process that appends, and of the one that fills the lake."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from house import House, append_for_ever, consume_for_ever, wait_until
from tocsin.adapters.iceberg import IcebergLake
from tocsin.ports import Selection
from tocsin.state.position import generation

ROUNDS = 10
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["house"])


def start(run: Callable[[Path], None], folder: Path) -> BaseProcess:
    process = SERVER.Process(target=run, args=(folder,))
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    assert process.is_alive()
    process.kill()
    process.join()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    # The fork server does not take over sys.path before it preloads.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    house = House(tmp_path)
    yield house
    house.close()


def acknowledged(house: House) -> int:
    note = house.folder / "acknowledged"
    return note.stat().st_size if note.exists() else 0


def found(house: House, class_uid: int) -> Counter[object]:
    selection = Selection("default", 0, 2**60, class_uids=(class_uid,), limit=10**7)
    return Counter(row["message"] for row in house.query().events(selection))


@pytest.mark.slow
def test_no_acknowledged_batch_is_lost_or_doubled(house: House) -> None:
    """After every round of kills each acknowledged batch is found once, in files and hot rows together."""
    chance = random.Random()  # noqa: S311 -- moments, not secrets
    for _ in range(ROUNDS):
        before = acknowledged(house)
        appender, consumer = start(append_for_ever, house.folder), start(consume_for_ever, house.folder)
        wait_until(lambda before=before: acknowledged(house) > before)  # type: ignore[misc]  # bound now, for this round
        time.sleep(chance.uniform(0.1, 2.0))
        kill(consumer)
        kill(appender)
        _check(house)
    assert house.stored().total() > 0
    _sweep(house)
    _check(house)


def _check(house: House) -> None:
    count = acknowledged(house)
    for class_uid in (1007, 4001):
        batches = found(house, class_uid)
        assert [i for i in range(count) if batches[f"h1/{i}"] != 1] == []
        # The very last append may be in the log without its acknowledgement.
        assert len(batches) - count in (0, 1)
        assert set(batches.values()) == {1}


def _sweep(house: House) -> None:
    with house.state.begin() as connection:
        owner = generation(connection, "lake")
    lake = IcebergLake(house.url, house.folder / "lake", owner)
    lake.sweep(older_than_s=0)
    lake.close()
