"""Appending to the lake: files first, synced; then one commit makes them and the log's position visible together."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from tocsin.adapters.iceberg import maintenance
from tocsin.adapters.iceberg.layout import write_files
from tocsin.adapters.iceberg.storage import storage_failures
from tocsin.adapters.iceberg.tables import (
    NAMESPACE,
    class_of,
    find_table,
    generation_of,
    open_catalog,
    open_table,
    position_of,
    snapshot_properties,
)
from tocsin.model.errors import Fenced, TryLater
from tocsin.ports import LakePosition

__all__ = ["IcebergLake"]

_COMMIT_TRIES = 5


class IcebergLake:
    """`Lake` on Iceberg tables; the one process that writes has the newest generation (see `state.position.claim`)."""

    def __init__(self, catalog_url: str, warehouse: Path, generation: int = 0) -> None:
        """Open the lake as the owner of that generation, and fence off older owners of every table.

        Raises:
            Fenced: a newer owner has been here already.
        """
        self._catalog: SqlCatalog = open_catalog(catalog_url, warehouse)
        self._generation = generation
        for _, name in self._catalog.list_tables(NAMESPACE):
            self._claim(open_table(self._catalog, class_of(name)))

    def position(self, class_uid: int) -> LakePosition:
        """What the class's table holds, from its current snapshot; empty for a class without events."""
        table = find_table(self._catalog, class_uid)
        return position_of(table) if table else LakePosition({}, {})

    def append(self, class_uid: int, rows: pa.Table, position: LakePosition) -> None:
        """Write rows (of `columnar.nested`) to files, sync them, commit them and the position in one snapshot.

        Raises:
            OutOfSpace: nothing was committed.
            Fenced: a newer owner has claimed the table.
        """
        table = open_table(self._catalog, class_uid)
        self._check_owner(table)
        with storage_failures():
            # Once a commit was tried its files are left to `sweep`: it may have succeeded and only its answer failed.
            self._commit(table, write_files(table, rows), position)

    def compact(self, class_uid: int) -> int:
        """Merge small files into large ones, and forget old snapshots; gives the number of files that went away."""
        table = find_table(self._catalog, class_uid)
        if table is None:
            return 0
        self._check_owner(table)
        with storage_failures():
            return maintenance.compact(table, snapshot_properties(position_of(table), self._generation))

    def expire(self, class_uid: int, before_ms: int) -> int:
        """Drop whole days before that time; gives the number of files that went away."""
        table = find_table(self._catalog, class_uid)
        if table is None:
            return 0
        self._check_owner(table)
        with storage_failures():
            return maintenance.expire(table, before_ms, snapshot_properties(position_of(table), self._generation))

    def sweep(self, older_than_s: float = 3_600.0) -> int:
        """Delete files that no snapshot knows: left by a crash between write and commit, or by compaction."""
        tables = [self._catalog.load_table(name) for name in self._catalog.list_tables(NAMESPACE)]
        return sum(maintenance.sweep(table, older_than_s) for table in tables)

    def close(self) -> None:
        """Close the catalog's connections."""
        self._catalog.engine.dispose()

    def _claim(self, table: Table) -> None:
        self._check_owner(table)
        if table.current_snapshot() is None or generation_of(table) == self._generation:
            return
        # An empty snapshot: whoever prepared a commit on the one before now fails.
        with storage_failures():
            _append(table, [], snapshot_properties(position_of(table), self._generation))

    def _check_owner(self, table: Table) -> None:
        owner = generation_of(table)
        if owner > self._generation:
            raise Fenced(
                f"generation {owner} writes to {table.name()[-1]} now; generation {self._generation} must stop"
            )

    def _commit(self, table: Table, files: list[DataFile], position: LakePosition) -> None:
        for _ in range(_COMMIT_TRIES):
            self._check_owner(table)
            try:
                _append(table, files, snapshot_properties(position, self._generation))
            except CommitFailedException:
                # Compaction of our own generation, or a newer owner: the next look tells.
                table.refresh()
            else:
                return
        raise TryLater(f"somebody else keeps changing {table.name()[-1]}")


def _append(table: Table, files: list[DataFile], properties: dict[str, str]) -> None:
    with table.transaction() as transaction, transaction.update_snapshot(properties).merge_append() as snapshot:
        for file in files:
            snapshot.append_data_file(file)
