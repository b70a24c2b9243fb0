"""Opening the state."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tocsin.model.errors import InvalidSetting
from tocsin.state.engine import NEWEST, open_state, reading
from tocsin.state.tables import METADATA, org


@pytest.fixture
def state(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    yield engine
    engine.dispose()


def test_the_migrations_give_the_declared_tables(state: sa.Engine) -> None:
    """What the migrations create is what tables.py declares, so that neither drifts."""
    with reading(state) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_the_newest_migration_is_known(state: sa.Engine) -> None:
    """A process that finds this revision does not look for migrations."""
    folder = Path(str(resources.files("tocsin"))) / "state" / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == NEWEST
    with reading(state) as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == NEWEST


def test_sqlite_is_durable_and_waits_for_others(state: sa.Engine) -> None:
    """Commits are synced in WAL mode, and a busy database is waited for."""
    with reading(state) as connection:
        pragmas = {p: connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_a_reader_does_not_wait_for_a_writer(state: sa.Engine) -> None:
    """While one transaction writes, another reads what was committed before."""
    with state.begin() as writer:
        writer.execute(sa.insert(org).values(id="a", name="A", created_at=1))
        with reading(state) as reader:
            assert reader.execute(sa.select(org)).all() == []
    with reading(state) as reader:
        assert reader.scalar(sa.select(org.c.name)) == "A"


def test_read_then_write_transactions_take_turns(state: sa.Engine) -> None:
    """Concurrent read-modify-write transactions lose no update and never fail as busy."""
    with state.begin() as connection:
        connection.execute(sa.insert(org).values(id="a", name="A", created_at=0))

    def add() -> None:
        for _ in range(20):
            with state.begin() as connection:
                seen = connection.scalar(sa.select(org.c.created_at)) or 0
                connection.execute(sa.update(org).values(created_at=seen + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(state) as connection:
        assert connection.scalar(sa.select(org.c.created_at)) == 80


def test_several_processes_may_start_at_once(tmp_path: Path) -> None:
    """Processes that find no tables at the same moment all end up with a migrated state."""
    code = f"from tocsin.state.engine import open_state; open_state('sqlite:///{tmp_path / 'state.db'}').dispose()"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """Random bytes where the state should be give one sentence, not the driver's traceback."""
    path = tmp_path / "state.db"
    path.write_bytes(bytes(range(256)) * 64)
    with pytest.raises(InvalidSetting, match=r"state\.db is not a database of Tocsin"):
        open_state(f"sqlite:///{path}")
