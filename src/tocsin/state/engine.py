"""Opening the state: an engine whose transactions mean the same on SQLite and PostgreSQL, with the newest tables.

Write in `engine.begin()`; read in `reading(engine)`. On SQLite a transaction takes the write lock when it begins, so
that a read followed by a write never fails half-way, and readers say that they are readers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from tocsin.model.errors import InvalidSetting

__all__ = ["NEWEST", "migrate", "open_state", "reading"]

NEWEST = "0005"  # the newest migration; a test compares
_READ_ONLY = "tocsin_read_only"
_BUSY_MS = 30_000
_MIGRATION_LOCK = 0x70C5


def open_state(url: str) -> sa.Engine:
    """The state at that URL, created or migrated if need be; safe when several processes start at once.

    Raises:
        InvalidSetting: what is there is no database of Tocsin.
    """
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        _use_sqlite(engine)
    try:
        migrate(engine)
    except sa.exc.DatabaseError as error:
        # `file is not a database`, `database disk image is malformed`; anything else is another matter.
        if _sqlite_code(error) not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        raise InvalidSetting(f"{engine.url.database} is not a database of Tocsin, or is damaged") from error
    return engine


def _sqlite_code(error: sa.exc.DatabaseError) -> int:
    return getattr(error.orig, "sqlite_errorcode", 0)


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that only reads: one consistent picture, and no writer waits for it."""
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        yield connection


def migrate(engine: sa.Engine) -> None:
    """Bring the tables to the newest revision; a second process waits for the first and finds nothing to do."""
    if _revision(engine) == NEWEST:
        return
    # A second of CPU in every process that starts, for what is needed once.
    import alembic.command  # noqa: PLC0415
    import alembic.config  # noqa: PLC0415

    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


def _revision(engine: sa.Engine) -> str | None:
    with reading(engine) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")))


def _use_sqlite(engine: sa.Engine) -> None:
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)


def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver would begin transactions by itself, and only before a write; `_begin` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    # First, since switching to WAL already needs a lock that another process may hold.
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
