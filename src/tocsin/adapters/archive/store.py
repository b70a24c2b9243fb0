"""Keeping the archive: a file per org, day and flush, synced before the state names it; merged, and dropped by day.

A file's name is the SHA-256 of its content, so that writing the same flush again after a crash changes nothing, and a
changed byte shows. Which files count is in the state, in the transaction that moves the lake's position: a file that
nobody entered there is a crash's leftover.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import msgspec
import sqlalchemy as sa

import tocsin
from tocsin.adapters.archive.frames import ArchivedBatch, Damage, frame, unframe
from tocsin.adapters.iceberg.storage import storage_failures, sync_folder
from tocsin.model.errors import NotFound
from tocsin.ports import LogEntry
from tocsin.state.engine import reading
from tocsin.state.insert import insert
from tocsin.state.tables import archive_file, archive_start

__all__ = ["Archive", "ArchivedFile", "list_files"]

_DAY_MS = 86_400_000
_SUFFIX = ".batches"
_MERGED_BYTES = 64 * 1024 * 1024
_MANY_FILES = 64  # a day that still grows is merged only when it has so many small files


class ArchivedFile(msgspec.Struct, frozen=True):
    """A file of the archive, as the state knows it."""

    org: str
    day: int  # of receipt, counted from 1970
    name: str  # SHA-256 of its content
    first_at: int  # ms, receipt of its first batch
    last_at: int
    batches: int
    size_bytes: int


class Archive:
    """The files below a folder, and their list in the state."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, entries: Iterable[LogEntry]) -> list[ArchivedFile]:
        """Write batches to files and sync them; they count once `enter` has named them.

        Raises:
            OutOfSpace: no room.
        """
        by_day: defaultdict[tuple[str, int], list[LogEntry]] = defaultdict(list)
        for entry in entries:
            by_day[entry.org, entry.received_at // _DAY_MS].append(entry)
        with storage_failures():
            return [self._write(_describe(org, day, of_day), _frames(of_day)) for (org, day), of_day in by_day.items()]

    def _write(self, described: ArchivedFile, content: bytes) -> ArchivedFile:
        file = msgspec.structs.replace(described, name=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
        path = self.path(file)
        new_folders = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        part.replace(path)
        for folder in [path.parent, *(folder.parent for folder in new_folders)]:
            sync_folder(folder)
        return file

    @staticmethod
    def enter(connection: sa.Connection, files: Sequence[ArchivedFile]) -> None:
        """Let files count, in the caller's transaction."""
        if files:
            rows = [msgspec.to_builtins(file) for file in files]
            connection.execute(insert(connection, archive_file).on_conflict_do_nothing(), rows)

    @staticmethod
    def begin(connection: sa.Connection, offsets: dict[int, int]) -> None:
        """Note from which offsets on batches are archived, if nobody has: of earlier ones none is missing."""
        rows = [{"partition": partition, "offset": offset} for partition, offset in offsets.items()]
        if rows:
            connection.execute(insert(connection, archive_start).on_conflict_do_nothing(), rows)

    def path(self, file: ArchivedFile) -> Path:
        """Where the file lies."""
        return self._folder / f"org-{quote(file.org, safe='')}" / _date(file.day) / f"{file.name}{_SUFFIX}"

    def read(self, file: ArchivedFile) -> tuple[bool, list[ArchivedBatch | Damage]]:
        """Whether the file is what was written, and all batches that can be read from it.

        Raises:
            NotFound: there is no such file.
        """
        try:
            whole = self.path(file).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"{self.path(file)} is not there") from error
        return hashlib.sha256(whole).hexdigest() == file.name, list(unframe(whole))

    def merge(self, engine: sa.Engine, today: int) -> int:
        """Merge each day's small files; gives the number of files that went away, which `sweep` deletes later."""
        gone = 0
        by_day: defaultdict[tuple[str, int], list[ArchivedFile]] = defaultdict(list)
        for file in list_files(engine):
            if file.size_bytes < _MERGED_BYTES:
                by_day[file.org, file.day].append(file)
        for (_, day), files in by_day.items():
            if len(files) >= (_MANY_FILES if day >= today else 2):
                gone += sum(self._replace(engine, group) for group in _groups(files))
        return gone

    def _replace(self, engine: sa.Engine, files: Sequence[ArchivedFile]) -> int:
        """One file in place of several; none that is damaged is hidden in a larger one."""
        contents = [self.path(file).read_bytes() for file in files if self.path(file).exists()]
        intact = [hashlib.sha256(content).hexdigest() for content in contents] == [file.name for file in files]
        if not intact:
            return 0
        with storage_failures():
            merged = self._write(_together(files), b"".join(contents))
        with engine.begin() as connection:
            self._forget(connection, files)
            self.enter(connection, [merged])
        return len(files) - 1

    def expire(self, engine: sa.Engine, before_ms: int) -> int:
        """Drop whole days before that time; gives the number of files that went away."""
        old = [file for file in list_files(engine) if (file.day + 1) * _DAY_MS <= before_ms]
        if old:
            with engine.begin() as connection:
                self._forget(connection, old)
        return len(old)

    @staticmethod
    def _forget(connection: sa.Connection, files: Sequence[ArchivedFile]) -> None:
        wanted = sa.and_(archive_file.c.org == sa.bindparam("its_org"), archive_file.c.name == sa.bindparam("its_name"))
        names = [{"its_org": file.org, "its_name": file.name} for file in files]
        connection.execute(sa.delete(archive_file).where(wanted), names)

    def sweep(self, engine: sa.Engine, older_than_s: float = 3_600.0) -> int:
        """Delete files that the state does not name, unless they are young; gives their number."""
        deadline = time.time() - older_than_s
        known = {self.path(file) for file in list_files(engine)}
        orphans = [path for path in self.present() if path not in known and path.stat().st_mtime <= deadline]
        for path in orphans:
            path.unlink(missing_ok=True)
        return len(orphans)

    def present(self) -> Iterator[Path]:
        """All files that are there, entered or not."""
        return (path for path in self._folder.glob("org-*/*/*") if path.is_file())


def list_files(
    engine: sa.Engine, org: str | None = None, since_ms: int = 0, until_ms: int = 2**62
) -> list[ArchivedFile]:
    """The files that count, of one org or of all, that hold something of the period; oldest first."""
    query = sa.select(*(archive_file.c[name] for name in ArchivedFile.__struct_fields__))
    query = query.where(archive_file.c.last_at >= since_ms, archive_file.c.first_at < until_ms)
    if org is not None:
        query = query.where(archive_file.c.org == org)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(archive_file.c.org, archive_file.c.first_at, archive_file.c.name))
        return [ArchivedFile(**row) for row in rows.mappings()]


def _describe(org: str, day: int, entries: Sequence[LogEntry]) -> ArchivedFile:
    times = [entry.received_at for entry in entries]
    return ArchivedFile(org, day, "", min(times), max(times), len(entries), 0)


def _frames(entries: Iterable[LogEntry]) -> bytes:
    return b"".join(frame(entry, tocsin.__version__) for entry in entries)


def _together(files: Sequence[ArchivedFile]) -> ArchivedFile:
    return msgspec.structs.replace(
        files[0],
        first_at=min(file.first_at for file in files),
        last_at=max(file.last_at for file in files),
        batches=sum(file.batches for file in files),
    )


def _groups(files: Sequence[ArchivedFile]) -> Iterator[list[ArchivedFile]]:
    group: list[ArchivedFile] = []
    size = 0
    for file in files:
        if group and size + file.size_bytes > _MERGED_BYTES:
            yield from [group] if len(group) > 1 else []
            group, size = [], 0
        group.append(file)
        size += file.size_bytes
    yield from [group] if len(group) > 1 else []


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
