"""Keeping a table quick to read: few large files, few snapshots, no orphans, no days beyond retention."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from tocsin.adapters.iceberg.layout import write_files
from tocsin.adapters.iceberg.storage import local_path
from tocsin.adapters.iceberg.tables import DAY_MS

__all__ = ["compact", "data_files", "expire", "sweep"]

SMALL_ROWS = 128 * 1024  # a file with fewer rows is small
MERGED_ROWS = 512 * 1024  # so many at most in a merged file: it is sorted in memory
MANY_FILES = 16  # a day that still grows is compacted only when it has so many small files
_SNAPSHOTS_KEPT = timedelta(minutes=30)


def data_files(table: Table) -> list[DataFile]:
    """The files of the current snapshot."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return []
    manifests = snapshot.manifests(table.io)
    return [entry.data_file for manifest in manifests for entry in manifest.fetch_manifest_entry(table.io)]


def compact(table: Table, properties: dict[str, str]) -> int:
    """Merge each day's small files, in one snapshot; gives the number of files that went away."""
    files = data_files(table)
    newest_day = max((file.partition[1] for file in files), default=0)
    small: defaultdict[tuple[str, int], list[DataFile]] = defaultdict(list)
    for file in files:
        if file.record_count < SMALL_ROWS:
            small[file.partition[0], file.partition[1]].append(file)
    groups = [
        group
        for (_, day), of_day in small.items()
        if len(of_day) >= (MANY_FILES if day == newest_day else 2)
        for group in _groups(of_day)
    ]
    if groups:
        _replace(table, groups, properties)
    _forget_snapshots(table)
    return sum(len(group) for group in groups) - len(groups)


def expire(table: Table, before_ms: int, properties: dict[str, str]) -> int:
    """Drop the files of whole days before that time; gives their number."""
    old = [file for file in data_files(table) if file.partition[1] + DAY_MS <= before_ms]
    if old:
        with table.transaction() as transaction, transaction.update_snapshot(properties).overwrite() as snapshot:
            for file in old:
                snapshot.delete_data_file(file)
    return len(old)


def sweep(table: Table, older_than_s: float) -> int:
    """Delete files below the table's folder that no kept snapshot knows, unless they are young; gives their number."""
    known = set(_known(table))
    deadline = time.time() - older_than_s
    orphans = [
        path
        for path in local_path(table.location()).rglob("*")
        if path.is_file() and path not in known and path.stat().st_mtime <= deadline
    ]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)


def _groups(files: Iterable[DataFile]) -> Iterator[list[DataFile]]:
    group: list[DataFile] = []
    rows = 0
    for file in files:
        if group and rows + file.record_count > MERGED_ROWS:
            yield from [group] if len(group) > 1 else []
            group, rows = [], 0
        group.append(file)
        rows += file.record_count
    yield from [group] if len(group) > 1 else []


def _replace(table: Table, groups: Sequence[list[DataFile]], properties: dict[str, str]) -> None:
    merged = [file for group in groups for file in _merge(table, group)]
    with table.transaction() as transaction, transaction.update_snapshot(properties).overwrite() as snapshot:
        for file in merged:
            snapshot.append_data_file(file)
        for file in (file for group in groups for file in group):
            snapshot.delete_data_file(file)


def _merge(table: Table, files: Sequence[DataFile]) -> list[DataFile]:
    rows = [pq.read_table(local_path(file.file_path)) for file in files]
    return write_files(table, pa.concat_tables(rows, promote_options="permissive"))


def _forget_snapshots(table: Table) -> None:
    table.refresh()
    if len(table.metadata.snapshots) > 1:
        table.maintenance.expire_snapshots().older_than(datetime.now(UTC) - _SNAPSHOTS_KEPT).commit()


def _known(table: Table) -> Iterator[Path]:
    """Every file that the table's metadata leads to."""
    yield local_path(table.metadata_location)
    for log_entry in table.metadata.metadata_log:
        yield local_path(log_entry.metadata_file)
    manifests = {}
    for snapshot in table.metadata.snapshots:
        yield local_path(snapshot.manifest_list)
        manifests.update({manifest.manifest_path: manifest for manifest in snapshot.manifests(table.io)})
    for manifest in manifests.values():
        yield local_path(manifest.manifest_path)
        for entry in manifest.fetch_manifest_entry(table.io):
            yield local_path(entry.data_file.file_path)
