"""The writer of the lake: events from the log into files, and the upkeep of both."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.adapters.archive import Archive
from tocsin.adapters.iceberg import IcebergLake
from tocsin.adapters.lake_sink import FlushWhen, LakeSink
from tocsin.config import Settings
from tocsin.ports import Clock, EventLog
from tocsin.state.position import claim
from tocsin.stream import Runner
from tocsin.wiring.lake.upkeep import Upkeep
from tocsin.wiring.names import LAKE
from tocsin.wiring.processes.part import Part, refuse_to_state

__all__ = ["lake_parts"]


def lake_parts(settings: Settings, engine: sa.Engine, log: EventLog, clock: Clock) -> list[Part]:
    """The consumer that writes, and the thread that tends."""
    with engine.begin() as connection:
        generation = claim(connection, LAKE, range(log.partitions), clock.now_ms())
    lake = IcebergLake(settings.state, settings.data_dir / "lake", generation)
    when = FlushWhen(rows=settings.lake_flush_rows, age_s=settings.lake_flush_s)
    archive = Archive(settings.data_dir / "archive")
    sink = LakeSink(lake, archive, engine, generation, clock, when)
    runner = Runner(log, sink, refuse_to_state(engine, LAKE))
    upkeep = Upkeep(settings, lake, archive, log, engine, clock)
    return [Part(LAKE, runner.run), Part("upkeep", upkeep.run)]
