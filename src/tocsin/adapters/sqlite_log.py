"""The event log in one SQLite file: WAL, synchronous=FULL, every append one synced transaction.

Offsets are dense within a partition. Several threads and processes may append and read at the same time; whoever waits
for entries polls SQLite's own change counter, which costs a few microseconds and no lock.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tocsin.model.errors import OutOfSpace, TryLater, Unreachable
from tocsin.ports import LogEntry, NewEntry

__all__ = ["SqliteLog"]

_BUSY_S = 30.0
_POLL_S = 0.005
_ROWS_AT_A_TIME = 64
_LAYOUT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    org TEXT NOT NULL,
    origin TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (partition, offset)
);
CREATE TABLE IF NOT EXISTS next_offset (partition INTEGER PRIMARY KEY, offset INTEGER NOT NULL);
"""
_APPEND = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_READ = """
SELECT partition, offset, org, origin, epoch, sequence, received_at, payload
FROM entry WHERE partition = ? AND offset >= ? ORDER BY offset LIMIT ?
"""
# Received times are those of one clock that may step back, so the first match need not be the last.
_OFFSET_AT = "SELECT offset FROM entry WHERE partition = ? AND received_at >= ? ORDER BY offset LIMIT 1"


class SqliteLog:
    """`EventLog` on one file."""

    def __init__(self, path: Path, partitions: int = 4) -> None:
        """Open or create the log; an existing one keeps its number of partitions.

        Raises:
            Unreachable: the file cannot be opened, or is not a log.
        """
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        try:
            self._partitions = self._create(partitions)
        except sqlite3.Error as error:
            self.close()
            raise Unreachable(f"cannot open the log {path}: {error}") from error
        except Unreachable:
            self.close()
            raise

    @property
    def partitions(self) -> int:
        """How many partitions there are, numbered from 0."""
        return self._partitions

    def append(self, entries: Sequence[NewEntry]) -> list[tuple[int, int]]:
        """Append all or none in one transaction, synced before this returns; gives (partition, offset) of each.

        Raises:
            OutOfSpace, Unreachable: nothing was appended.
        """
        connection = self._connection()
        # A connection's own commits do not change the version that it sees.
        self._local.seen_empty.clear()
        try:
            connection.execute("BEGIN IMMEDIATE")
            places = self._insert(connection, entries)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(connection)
            raise _failure(error, "append to") from error
        return places

    def read(self, partition: int, offset: int, *, max_bytes: int, wait_s: float = 0.0) -> list[LogEntry]:
        """Entries from `offset` on, in order; waits up to `wait_s` for the first one.

        Always gives at least one if there is one, however large.
        """
        connection = self._connection()
        deadline = time.monotonic() + wait_s
        while True:
            # Read the version first: what is appended after that makes the next look see another one.
            state = (offset, _version(connection))
            if self._local.seen_empty.get(partition) != state:
                entries = self._read(connection, partition, offset, max_bytes)
                if entries:
                    return entries
                self._local.seen_empty[partition] = state
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            time.sleep(min(_POLL_S, left))

    def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset still kept, and the offset that the next entry will get."""
        first = "SELECT min(offset) FROM entry WHERE partition = ?1"
        following = "SELECT offset FROM next_offset WHERE partition = ?1"
        row = self._connection().execute(f"SELECT ({first}), ({following})", (partition,)).fetchone()
        end = int(row[1])
        return (end if row[0] is None else int(row[0])), end

    def offset_at(self, partition: int, time_ms: int) -> int:
        """The first offset received at or after that time; the next one to come, if there is none."""
        row = self._connection().execute(_OFFSET_AT, (partition, time_ms)).fetchone()
        return int(row[0]) if row else self.bounds(partition)[1]

    def trim(self, partition: int, before: int) -> None:
        """Forget entries below that offset; their room is used again."""
        connection = self._connection()
        connection.execute("DELETE FROM entry WHERE partition = ? AND offset < ?", (partition, before))

    def close(self) -> None:
        """Close every thread's connection; nobody may use the log after that."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def _create(self, partitions: int) -> int:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._check_layout(connection)
            for statement in _TABLES.split(";")[:-1]:
                connection.execute(statement)
            known = int(connection.execute("SELECT count(*) FROM next_offset").fetchone()[0])
            if not known:
                connection.executemany("INSERT INTO next_offset VALUES (?, 0)", [(p,) for p in range(partitions)])
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        return known or partitions

    def _check_layout(self, connection: sqlite3.Connection) -> None:
        layout = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if layout not in (0, _LAYOUT):
            raise Unreachable(f"the log {self._path} is of layout {layout}, which this version does not read")
        connection.execute(f"PRAGMA user_version = {_LAYOUT}")

    def _insert(self, connection: sqlite3.Connection, entries: Sequence[NewEntry]) -> list[tuple[int, int]]:
        following = dict(connection.execute("SELECT partition, offset FROM next_offset").fetchall())
        places = []
        rows = []
        for entry in entries:
            partition = self._partition(entry.org, entry.origin)
            offset = following[partition]
            following[partition] = offset + 1
            places.append((partition, offset))
            rows.append((partition, offset, entry.received_at, *_identity(entry), entry.payload))
        connection.executemany(_APPEND, rows)
        moved = [(following[partition], partition) for partition in {partition for partition, _ in places}]
        connection.executemany("UPDATE next_offset SET offset = ? WHERE partition = ?", moved)
        return places

    def _partition(self, org: str, origin: str) -> int:
        digest = hashlib.blake2b(f"{org}\0{origin}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") % self._partitions

    @staticmethod
    def _read(connection: sqlite3.Connection, partition: int, offset: int, max_bytes: int) -> list[LogEntry]:
        entries: list[LogEntry] = []
        size = 0
        while size < max_bytes:
            rows = connection.execute(_READ, (partition, offset, _ROWS_AT_A_TIME)).fetchall()
            for row in rows:
                entry = LogEntry(*row)
                size += len(entry.payload)
                if entries and size > max_bytes:
                    return entries
                entries.append(entry)
            if len(rows) < _ROWS_AT_A_TIME:
                break
            offset = entries[-1].offset + 1
        return entries

    def _connection(self) -> sqlite3.Connection:
        """The calling thread's own connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _connect(self._path)
            self._local.connection = connection
            # Per partition the (offset, version) at which there was nothing to read.
            self._local.seen_empty = {}
            with self._lock:
                self._connections.append(connection)
        return connection


def _connect(path: Path) -> sqlite3.Connection:
    # check_same_thread is off so that `close` may close what other threads opened; each uses only its own.
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    return connection


def _identity(entry: NewEntry) -> tuple[str, str, int, int]:
    return entry.org, entry.origin, entry.epoch, entry.sequence


def _version(connection: sqlite3.Connection) -> int:
    """Changes whenever another connection, of any process, has committed."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _roll_back(connection: sqlite3.Connection) -> None:
    # A full disk has already rolled some transactions back by itself.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _failure(error: sqlite3.Error, doing: str) -> TryLater:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return OutOfSpace(f"no room on the disk to {doing} the log")
    return Unreachable(f"cannot {doing} the log: {error}")
