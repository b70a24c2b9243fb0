"""What the SQLite log promises beyond its port: full disks, syncs, other people's files."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.model.errors import OutOfSpace, Unreachable
from tocsin.ports import NewEntry

APPENDER = """
import os, sys
from pathlib import Path
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.ports import NewEntry
marks = os.open("/dev/null", os.O_WRONLY)
log = SqliteLog(Path(sys.argv[1]))
log.append([NewEntry("default", "h1", 1, 0, 1, b"first")])
for sequence in range(1, 6):
    os.write(marks, b"before append")
    log.append([NewEntry("default", "h1", 1, sequence, 1, b"x" * 5000)])
    os.write(marks, b"after append")
"""


def entry(sequence: int, size: int) -> NewEntry:
    return NewEntry("default", "h1", 1, sequence, 1, os.urandom(size))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.root
def test_a_full_disk_appends_nothing_and_recovers(small_disk: Path) -> None:
    """On a full disk an append fails whole with OutOfSpace; what was there stays, and room makes it work again."""
    log = SqliteLog(small_disk / "log.db", partitions=1)
    log.append([entry(0, 1_000)])
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_500_000))
    with pytest.raises(OutOfSpace):
        log.append([entry(1, 10), entry(2, 2_000_000)])
    assert log.bounds(0) == (0, 1)
    ballast.unlink()
    assert log.append([entry(1, 1_000)]) == [(0, 1)]
    assert [e.sequence for e in log.read(0, 0, max_bytes=1 << 20)] == [0, 1]
    log.close()


def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    """Somebody else's file is refused with a sentence, and left alone."""
    path = tmp_path / "log.db"
    path.write_bytes(b"not a database, but somebody's text\n" * 100)
    with pytest.raises(Unreachable, match="log"):
        SqliteLog(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_log_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """A layout that this version does not know is not touched."""
    SqliteLog(tmp_path / "log.db").close()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unreachable, match="layout 99"):
        SqliteLog(tmp_path / "log.db")


def test_the_number_of_partitions_stays(tmp_path: Path) -> None:
    """An existing log keeps its partitions, whatever the setting says now, since origins must not move."""
    SqliteLog(tmp_path / "log.db", partitions=3).close()
    log = SqliteLog(tmp_path / "log.db", partitions=8)
    assert log.partitions == 3
    log.close()


@pytest.mark.root
def test_append_returns_after_the_sync(tmp_path: Path) -> None:
    """The system calls show it: between the start and the end of every append, a sync of the log returned success."""
    strace = shutil.which("strace")
    if strace is None:
        if os.environ.get("CI"):
            pytest.fail("strace is missing; CI must have it")
        pytest.skip("strace is missing: install it to prove that appends are synced")
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,fdatasync"
    command = [
        strace,
        "-f",
        "-y",
        "-e",
        calls,
        "-o",
        str(trace),
        sys.executable,
        "-c",
        APPENDER,
        str(tmp_path / "l.db"),
    ]
    subprocess.run(command, check=True)
    appends = trace.read_text().split('"before append"')[1:]
    assert len(appends) == 5
    for append in appends:
        during = append.split('"after append"')[0].splitlines()
        written = max(i for i, call in enumerate(during) if "pwrite64" in call and "l.db-wal" in call)
        synced = [i for i, call in enumerate(during) if "sync(" in call and "l.db-wal" in call and call.endswith("= 0")]
        assert synced
        assert synced[-1] > written
