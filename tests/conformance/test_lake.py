"""The promises of `Lake`, held by every adapter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import duckdb
import pytest
import sqlalchemy as sa

from columnar.batches import batch
from tocsin.adapters.iceberg import IcebergLake, LakeReader
from tocsin.columnar.frame import frames
from tocsin.columnar.nested import nested
from tocsin.model.errors import Fenced
from tocsin.model.event import Event
from tocsin.ports import Lake, LakePosition

DAY = 86_400_000
NOW = 20_000 * DAY
NOWHERE = LakePosition({}, {})


class Opened(Protocol):
    """A lake, and a way to see what is in it."""

    def lake(self, generation: int = 1) -> Lake: ...

    def uids(self, class_uid: int = 1007) -> list[str]: ...


class _Iceberg:
    def __init__(self, folder: Path) -> None:
        self._url = f"sqlite:///{folder / 'catalog.db'}"
        self._folder = folder
        self._engine = sa.create_engine(self._url)
        self._lakes: list[IcebergLake] = []

    def lake(self, generation: int = 1) -> Lake:
        self._lakes.append(IcebergLake(self._url, self._folder / "lake", generation))
        return self._lakes[-1]

    def uids(self, class_uid: int = 1007) -> list[str]:
        plan = LakeReader(self._engine).plans().get(class_uid)
        files = [str(file.path) for file in plan.files] if plan else []
        if not files:
            return []
        with duckdb.connect() as connection:
            found = connection.execute("SELECT metadata.uid FROM read_parquet(?)", [files]).fetchall()
        return [uid for (uid,) in found]

    def close(self) -> None:
        for lake in self._lakes:
            lake.close()
        self._engine.dispose()


@pytest.fixture(params=[_Iceberg], ids=["iceberg"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """An empty lake."""
    adapter = request.param(tmp_path)
    yield adapter
    adapter.close()


def rows(sequence: int, times: list[int], org: str = "default") -> tuple[object, list[str]]:
    """Process events at those times as the lake takes them, and their ids."""
    events = [Event(1007, {"time": t, "process.name": f"p{t % 7}"}) for t in times]
    table = nested(frames([batch(events, sequence, org=org)])[1007])
    return table, [row["uid"] for row in table["metadata"].to_pylist()]


def test_rows_and_position_appear_together(opened: Opened) -> None:
    """After an append the rows are there once, and the position is the one that came with them, for any opening."""
    lake = opened.lake()
    assert lake.position(1007) == NOWHERE
    table, uids = rows(0, [NOW, NOW + 5])
    position = LakePosition({0: 7, 3: 1}, {"default/h1": (7, 0)})
    lake.append(1007, table, position)
    assert sorted(opened.uids()) == sorted(uids)
    assert lake.position(1007) == opened.lake().position(1007) == position
    assert lake.position(4001) == NOWHERE


def test_a_newer_owner_fences_the_older(opened: Opened) -> None:
    """Once a newer generation has opened the lake the older one commits nothing, and cannot be opened again."""
    old = opened.lake(1)
    old.append(1007, rows(0, [NOW])[0], LakePosition({0: 1}, {}))
    new = opened.lake(2)
    with pytest.raises(Fenced):
        old.append(1007, rows(1, [NOW])[0], LakePosition({0: 2}, {}))
    with pytest.raises(Fenced):
        opened.lake(1)
    assert new.position(1007) == LakePosition({0: 1}, {})
    assert len(opened.uids()) == 1


def test_compaction_keeps_rows_and_position(opened: Opened) -> None:
    """Small files of a day that is over become one; every row is there once and the position has not moved."""
    lake = opened.lake()
    uids: list[str] = []
    for sequence in range(4):
        table, more = rows(sequence, [NOW + sequence, NOW - DAY + sequence])
        uids += more
        lake.append(1007, table, LakePosition({0: sequence + 1}, {}))
    assert lake.compact(1007) == 3
    assert lake.compact(1007) == 0
    assert Counter(opened.uids()) == Counter(uids)
    assert lake.position(1007) == LakePosition({0: 4}, {})
    lake.append(1007, rows(9, [NOW])[0], LakePosition({0: 5}, {}))
    assert len(opened.uids()) == len(uids) + 1


def test_expiring_drops_whole_days_only(opened: Opened) -> None:
    """Days that ended before the time go, the day that holds it stays, and the position stays."""
    lake = opened.lake()
    table, _ = rows(0, [NOW - 2 * DAY, NOW - 1, NOW, NOW + 5])
    lake.append(1007, table, LakePosition({0: 1}, {}))
    assert lake.expire(1007, NOW + 3) == 2
    assert len(opened.uids()) == 2
    assert lake.expire(1007, NOW + 3) == 0
    assert lake.position(1007) == LakePosition({0: 1}, {})


def test_owners_may_compact_and_append_by_turns(opened: Opened) -> None:
    """An append prepared by one opening of the owner survives a compaction by another."""
    lake, other = opened.lake(), opened.lake()
    for sequence in range(3):
        lake.append(1007, rows(sequence, [NOW - DAY + sequence, NOW])[0], LakePosition({0: sequence}, {}))
        other.compact(1007)
    assert len(set(opened.uids())) == len(opened.uids()) == 6


@pytest.mark.parametrize("org", ["default", "a/b", "ü%*?[x]", "..", "-"])
def test_any_name_of_an_org_is_safe(opened: Opened, tmp_path: Path, org: str) -> None:
    """Whatever an org is called, its files lie inside the lake and are found again."""
    table, uids = rows(0, [NOW], org)
    opened.lake().append(1007, table, NOWHERE)
    assert opened.uids() == uids
    outside = [path for path in tmp_path.rglob("*.parquet") if "lake" not in path.relative_to(tmp_path).parts[0]]
    assert outside == []
