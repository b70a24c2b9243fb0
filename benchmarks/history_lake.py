"""A month of twenty hosts in a real lake: what a benchmark of history asks questions of.

Every event comes from `fleet.activity` (40 % of command lines never seen before, records included) and goes to files
through the lake's own writer, a flush of every class per quarter of a day. Built once per folder; the seed is pinned.
"""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path

import pyarrow as pa

from fleet import SEED, activity
from tocsin.adapters.iceberg import IcebergLake
from tocsin.columnar.nested import nested
from tocsin.detect.history.replay import frames_of
from tocsin.model.event import Event
from tocsin.ports import LakePosition
from tocsin.state.engine import open_state

__all__ = ["DAYS", "DAY_MS", "START", "build"]

DAY_MS = 86_400_000
DAYS = 30
START = 20_000 * DAY_MS
_HOSTS = 20
_FLUSHES = 4  # a day
_BUILT = "built"


def build(folder: Path, events: int) -> None:
    """Fill the folder with a lake of so many events, unless an earlier run has."""
    done = folder / _BUILT
    if done.exists() and done.read_text() == str(events):
        return
    folder.mkdir(parents=True, exist_ok=True)
    _open_lake(folder).close()
    # Days are made in processes of their own; commits of one owner wait for each other.
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for day in pool.imap_unordered(_day, [(folder, day, events // DAYS) for day in range(DAYS)]):
            print(f"built day {day + 1} of {DAYS}", flush=True)
    done.write_text(str(events))


def _open_lake(folder: Path) -> IcebergLake:
    open_state(_url(folder)).dispose()
    return IcebergLake(_url(folder), folder / "lake")


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'state.db'}"


def _day(asked: tuple[Path, int, int]) -> int:
    folder, day, count = asked
    lake = _open_lake(folder)
    for flush in range(_FLUSHES):
        _flush(lake, day * _FLUSHES + flush, count // _FLUSHES)
    lake.close()
    return day


def _flush(lake: IcebergLake, number: int, count: int) -> None:
    rng = random.Random(SEED + number)  # noqa: S311 -- a pinned load
    tables: dict[int, list[pa.Table]] = {}
    for host in range(_HOSTS):
        events = list(activity(rng, count // _HOSTS, START + number * DAY_MS // _FLUSHES))
        for class_uid, frame in frames_of(
            _over_time(events, rng), org="default", origin=f"agent-{host}", sequence=number
        ).items():
            tables.setdefault(class_uid, []).append(nested(frame))
    for class_uid, of_class in tables.items():
        # Dictionaries of one table after another would be unified in every slice that is written.
        lake.append(class_uid, pa.concat_tables(of_class).combine_chunks(), LakePosition({0: number}, {}))


def _over_time(events: list[Event], rng: random.Random) -> list[Event]:
    for event in events:
        event.values["time"] = int(event.values["time"]) + rng.randrange(DAY_MS // _FLUSHES)
    return events
