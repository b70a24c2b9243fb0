"""What is known of each watched file: a small database in the state folder, outliving the agent.

It holds at most so many files; those beyond are watched all the same, only nothing is known of how they were before.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NEVER_HASHED", "Baseline", "FileState", "read_state"]

NEVER_HASHED: Final = b""  # not a regular file, or too large
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS file (
  path BLOB PRIMARY KEY, device INTEGER, inode INTEGER, mode INTEGER, uid INTEGER, gid INTEGER, links INTEGER,
  size INTEGER, modified_ns INTEGER, changed_ns INTEGER, sha256 BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unhashed ON file (path) WHERE sha256 IS NULL;
CREATE TABLE IF NOT EXISTS scanned (path BLOB PRIMARY KEY) WITHOUT ROWID;
"""
PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # a power failure may cost the last second, never the database
    "PRAGMA cache_size = -256",
    "PRAGMA journal_size_limit = 1048576",
)


class FileState(NamedTuple):
    """A file as it was at one moment; `sha256` is None while its content has not been read."""

    device: int
    inode: int
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    modified_ns: int
    changed_ns: int
    sha256: bytes | None = None

    @property
    def is_regular(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def has_content_of(self, other: FileState) -> bool:
        """Nothing points to other content: the same file, as long, and written last at the same time."""
        return self[0:2] == other[0:2] and (self.size, self.modified_ns) == (other.size, other.modified_ns)


def read_state(path: str) -> FileState | None:
    """The file as it is now, not following a link and not reading its content; None if it is gone."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return FileState(
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_nlink,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


class Baseline:
    """The database; used by the thread that opened it. What is not committed is seen again at the next start."""

    def __init__(self, file: Path, max_files: int) -> None:
        self._database = _open(file)
        self._max_files = max_files
        (self._count,) = self._database.execute("SELECT count(*) FROM file").fetchone()

    def __len__(self) -> int:
        return int(self._count)

    @property
    def is_full(self) -> bool:
        return len(self) >= self._max_files

    def get(self, path: str) -> FileState | None:
        """What is known of a path."""
        row = self._database.execute(_GET, (os.fsencode(path),)).fetchone()
        return FileState(*row[1:]) if row else None

    def put(self, path: str, state: FileState) -> None:
        """Know this of a path from now on."""
        key = os.fsencode(path)
        updated = self._database.execute(_UPDATE, (*state, key)).rowcount
        if not updated and not self.is_full:
            self._database.execute(_INSERT, (key, *state))
            self._count += 1

    def remove(self, path: str) -> None:
        """Forget a path."""
        self._count -= self._database.execute("DELETE FROM file WHERE path = ?", (os.fsencode(path),)).rowcount

    def remove_below(self, folder: str) -> None:
        """Forget all that is in a folder, however deep."""
        removed = self._database.execute("DELETE FROM file WHERE path > ? AND path < ?", _range(folder))
        self._count -= removed.rowcount

    def move_below(self, old: str, new: str) -> None:
        """Know under another name what is in a folder, however deep."""
        self._database.execute(
            "UPDATE OR REPLACE file SET path = CAST(? || substr(path, ?) AS BLOB) WHERE path > ? AND path < ?",
            (os.fsencode(new), len(os.fsencode(old)) + 1, *_range(old)),
        )

    def below(self, folder: str) -> Iterator[tuple[str, FileState]]:
        """All that is known in a folder, however deep, in order; a page at a time, so that others may write."""
        after, end = _range(folder)
        while rows := self._database.execute(_PAGE, (after, end)).fetchall():
            for key, *row in rows:
                yield os.fsdecode(key), FileState(*row)
            after = rows[-1][0]

    def unhashed(self) -> tuple[str, FileState] | None:
        """A file whose content is still to be read."""
        row = self._database.execute(_UNHASHED).fetchone()
        return (os.fsdecode(row[0]), FileState(*row[1:])) if row else None

    def scanned(self) -> set[str]:
        """The configured paths whose files are known since an earlier scan."""
        return {os.fsdecode(key) for (key,) in self._database.execute("SELECT path FROM scanned")}

    def set_scanned(self, path: str) -> None:
        """The files of this configured path are known."""
        self._database.execute("INSERT OR IGNORE INTO scanned VALUES (?)", (os.fsencode(path),))

    def forget_scanned(self, path: str) -> None:
        """The path is no longer configured."""
        self._database.execute("DELETE FROM scanned WHERE path = ?", (os.fsencode(path),))

    def commit(self) -> None:
        """Keep what was changed."""
        self._database.commit()

    def close(self) -> None:
        """Keep what was changed and let go."""
        self._database.commit()
        self._database.close()


_GET: Final = "SELECT * FROM file WHERE path = ?"
_UNHASHED: Final = "SELECT * FROM file WHERE sha256 IS NULL LIMIT 1"
_PAGE: Final = "SELECT * FROM file WHERE path > ? AND path < ? ORDER BY path LIMIT 200"
_INSERT: Final = "INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE: Final = """
UPDATE file
SET device = ?, inode = ?, mode = ?, uid = ?, gid = ?, links = ?, size = ?, modified_ns = ?, changed_ns = ?, sha256 = ?
WHERE path = ?
"""


def _open(file: Path) -> sqlite3.Connection:
    """Open the database; one that is damaged is begun anew, as if the agent were started for the first time."""
    try:
        return _prepared(file)
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        return _prepared(file)


def _prepared(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file)
    for pragma in PRAGMAS:
        database.execute(pragma)
    database.executescript(SCHEMA)
    file.chmod(0o600)
    return database


def _range(folder: str) -> tuple[bytes, bytes]:
    """Above what, and below what, all paths in a folder lie; "0" comes after "/"."""
    start = os.fsencode(folder).rstrip(b"/")
    return start + b"/", start + b"0"
