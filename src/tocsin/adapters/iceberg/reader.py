"""Which files of the lake a query must read, from one snapshot together with that snapshot's position in the log."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import sqlalchemy as sa
from pyiceberg.catalog.sql import IcebergTables
from pyiceberg.manifest import DataFile
from pyiceberg.table import StaticTable, Table

from tocsin.adapters.iceberg.maintenance import data_files
from tocsin.adapters.iceberg.storage import local_path
from tocsin.adapters.iceberg.tables import CATALOG, NAMESPACE, class_of, position_of
from tocsin.ports import LakePosition
from tocsin.state.engine import reading

__all__ = ["LakeReader", "Plan", "PlannedFile"]

_SYNCED = {"py-io-impl": "tocsin.adapters.iceberg.storage.SyncedFileIO"}


class PlannedFile(msgspec.Struct, frozen=True):
    """A data file, and what its partition and statistics say."""

    path: Path
    org: str
    first_ms: int
    last_ms: int


class Plan(msgspec.Struct, frozen=True):
    """A class's files in one snapshot, and up to where that snapshot holds the log."""

    position: LakePosition
    files: tuple[PlannedFile, ...]

    def select(self, org: str, since: int, until: int) -> list[Path]:
        """The files that can hold events of that org and time."""
        return [f.path for f in self.files if f.org == org and f.first_ms < until and f.last_ms >= since]


class LakeReader:
    """Plans of all classes, read again only when a table has changed: one small query finds that out."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._plans: dict[str, Plan] = {}

    def plans(self) -> dict[int, Plan]:
        """The plan of every class that has a table, each from its newest snapshot."""
        plans = {}
        current = {}
        for name, location in self._locations():
            plan = self._plans.get(location) or _plan(StaticTable.from_metadata(location, _SYNCED))
            plans[class_of(name)] = current[location] = plan
        self._plans = current
        return plans

    def _locations(self) -> list[tuple[str, str]]:
        wanted = sa.select(IcebergTables.table_name, IcebergTables.metadata_location).where(
            IcebergTables.catalog_name == CATALOG, IcebergTables.table_namespace == NAMESPACE
        )
        with reading(self._engine) as connection:
            if not sa.inspect(connection).has_table(IcebergTables.__tablename__):
                return []
            return [(row.table_name, row.metadata_location) for row in connection.execute(wanted)]


def _plan(table: Table) -> Plan:
    time_id = table.schema().find_field("time").field_id
    return Plan(position_of(table), tuple(_planned(file, time_id) for file in data_files(table)))


def _planned(file: DataFile, time_id: int) -> PlannedFile:
    return PlannedFile(
        local_path(file.file_path),
        file.partition[0],
        _milliseconds(file.lower_bounds[time_id]),
        _milliseconds(file.upper_bounds[time_id]),
    )


def _milliseconds(bound: bytes) -> int:
    return int(struct.unpack("<q", bound)[0])
