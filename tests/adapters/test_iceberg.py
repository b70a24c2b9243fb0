"""What the Iceberg lake promises beyond its port: orphans, full disks, partitions, growing schemas."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from columnar.batches import batch
from tocsin.adapters.iceberg import IcebergLake, LakeReader
from tocsin.adapters.iceberg.layout import write_files
from tocsin.adapters.iceberg.tables import open_catalog, open_table
from tocsin.columnar.frame import frames
from tocsin.columnar.nested import nested, schema
from tocsin.model.errors import OutOfSpace
from tocsin.model.event import Event
from tocsin.ports import LakePosition

DAY = 86_400_000
NOW = 20_000 * DAY


def rows(sequence: int, times: list[int], org: str = "default") -> pa.Table:
    events = [Event(1007, {"time": t, "process.name": "sh", "message": str(t) * 50}) for t in times]
    return nested(frames([batch(events, sequence, org=org)])[1007])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalog.db'}"


@pytest.fixture
def lake(url: str, tmp_path: Path) -> Iterator[IcebergLake]:
    lake = IcebergLake(url, tmp_path / "lake", 1)
    yield lake
    lake.close()


@pytest.fixture
def reader(url: str) -> Iterator[LakeReader]:
    engine = sa.create_engine(url)
    yield LakeReader(engine)
    engine.dispose()


def test_files_are_partitioned_and_sorted(lake: IcebergLake, reader: LakeReader) -> None:
    """One file per org and day, which a plan selects by org and time; within it a device's rows are by time."""
    lake.append(1007, rows(0, [NOW + 5, NOW, NOW + DAY]), LakePosition({}, {}))
    lake.append(1007, rows(1, [NOW], "other"), LakePosition({}, {}))
    plan = reader.plans()[1007]
    assert sorted((f.org, f.first_ms, f.last_ms) for f in plan.files) == [
        ("default", NOW, NOW + 5),
        ("default", NOW + DAY, NOW + DAY),
        ("other", NOW, NOW),
    ]
    (file,) = plan.select("default", NOW + 1, NOW + DAY)
    assert pq.read_table(file)["time"].to_pylist() == [NOW, NOW + 5]
    assert plan.select("nobody", 0, 2**60) == []


def test_any_iceberg_reader_reads_it(lake: IcebergLake, url: str, tmp_path: Path) -> None:
    """Pyiceberg's own scan, with a filter on the org, gives the rows: partition values and schema are right."""
    lake.append(1007, rows(0, [NOW, NOW + 1]), LakePosition({}, {}))
    lake.append(1007, rows(1, [NOW], "other"), LakePosition({}, {}))
    catalog = open_catalog(url, tmp_path / "lake")
    scan = open_table(catalog, 1007).scan(row_filter=f"metadata.tenant_uid = 'default' and time > {NOW}")
    assert [row["time"] for row in scan.to_arrow().to_pylist()] == [NOW + 1]
    catalog.engine.dispose()


def test_a_crash_before_the_commit_leaves_orphans_only(
    lake: IcebergLake, reader: LakeReader, url: str, tmp_path: Path
) -> None:
    """Files written but not committed are not in the lake, and a sweep deletes them and nothing else."""
    lake.append(1007, rows(0, [NOW]), LakePosition({}, {}))
    catalog = open_catalog(url, tmp_path / "lake")
    orphans = write_files(open_table(catalog, 1007), rows(1, [NOW]))
    catalog.engine.dispose()
    assert len(reader.plans()[1007].files) == 1
    assert lake.sweep(older_than_s=3_600) == 0
    assert lake.sweep(older_than_s=0) == len(orphans) == 1
    (file,) = reader.plans()[1007].select("default", 0, 2**60)
    assert pq.read_table(file).num_rows == 1
    lake.append(1007, rows(2, [NOW]), LakePosition({}, {}))


def test_compaction_leaves_files_until_they_are_swept(lake: IcebergLake, reader: LakeReader) -> None:
    """A reader that planned before a compaction still finds its files; many small files of today are merged too."""
    for sequence in range(16):
        lake.append(1007, rows(sequence, [NOW + sequence]), LakePosition({}, {}))
    planned = reader.plans()[1007].select("default", 0, 2**60)
    assert lake.compact(1007) == 15
    lake.sweep()
    assert sum(pq.read_table(path).num_rows for path in planned) == 16
    (merged,) = reader.plans()[1007].select("default", 0, 2**60)
    assert pq.read_table(merged)["time"].to_pylist() == [NOW + i for i in range(16)]


def test_a_table_grows_with_its_class(lake: IcebergLake, reader: LakeReader, url: str, tmp_path: Path) -> None:
    """An attribute declared later is added to an existing table, and old files are still read."""
    lake.append(1007, rows(0, [NOW]), LakePosition({0: 1}, {}))
    catalog = open_catalog(url, tmp_path / "lake")
    table = open_table(catalog, 1007)
    with table.update_schema() as update:
        update.delete_column("exit_code")
    lake.append(1007, rows(1, [NOW + 1]), LakePosition({0: 2}, {}))
    table.refresh()
    assert set(schema(1007).names) <= {field.name for field in table.schema().fields}
    assert sorted(table.scan().to_arrow()["time"].to_pylist()) == [NOW, NOW + 1]
    catalog.engine.dispose()
    assert len(reader.plans()[1007].files) == 2


@pytest.mark.root
def test_a_full_disk_commits_nothing(tmp_path: Path, url: str) -> None:
    """Without room an append fails as OutOfSpace, leaves no file behind and the position where it was."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    lake = IcebergLake(url, disk, 1)
    try:
        lake.append(1007, rows(0, [NOW]), LakePosition({0: 1}, {}))
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(880_000))
        before = sorted(disk.rglob("*.parquet"))
        with pytest.raises(OutOfSpace):
            lake.append(1007, rows(1, list(range(NOW, NOW + 60_000))), LakePosition({0: 2}, {}))
        assert sorted(disk.rglob("*.parquet")) == before
        assert lake.position(1007) == LakePosition({0: 1}, {})
        ballast.unlink()
        lake.append(1007, rows(1, [NOW]), LakePosition({0: 2}, {}))
        assert lake.position(1007) == LakePosition({0: 2}, {})
    finally:
        lake.close()
        subprocess.run(["umount", str(disk)], check=True)
