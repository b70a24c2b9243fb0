"""The engines that conditions are rendered for, as tests ask them: expressions over the rows of a Parquet file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

__all__ = ["DuckDb", "Engine", "Foreign", "Truths", "needed", "written"]

Truths = list[list[bool]]  # by row, by expression
# `make test` installs them there, away from what is tested.
_PYTHON: Final = Path(sys.prefix) / "dialects" / "bin" / "python"


class Engine(Protocol):
    """An engine that is running."""

    @property
    def dialect(self) -> str:
        """Its name among the dialects."""
        ...

    def truths(self, rows: Path, expressions: Sequence[str], order: str) -> Truths:
        """Where each expression is true, rows in the order of a column of numbers."""
        ...


def _select(expressions: Sequence[str], source: str, order: str) -> str:
    columns = ", ".join(f"coalesce(({each}), FALSE) AS e{number}" for number, each in enumerate(expressions))
    return f"SELECT {columns} FROM {source} ORDER BY {order}"  # noqa: S608 - rendered, as in use


class DuckDb:
    dialect = "duckdb"

    def __init__(self) -> None:
        self._connection = duckdb.connect()

    def truths(self, rows: Path, expressions: Sequence[str], order: str) -> Truths:
        found = self._connection.execute(_select(expressions, f"read_parquet('{rows}')", order)).fetchall()
        return [[bool(each) for each in row] for row in found]


class Foreign:
    """ClickHouse or Spark, in a process and an environment of its own."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        program = Path(__file__).with_name("foreign_engine.py")
        self._process = subprocess.Popen(
            [_PYTHON, "-W", "ignore", program, dialect], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def truths(self, rows: Path, expressions: Sequence[str], order: str) -> Truths:
        assert self._process.stdin
        assert self._process.stdout
        asked = {"query": _select(expressions, "{rows}", order), "rows": str(rows)}
        self._process.stdin.write(msgspec.json.encode(asked).decode() + "\n")
        self._process.stdin.flush()
        answer = msgspec.json.decode(self._process.stdout.readline())
        assert "rows" in answer, answer
        return [[bool(each) for each in row] for row in answer["rows"]]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def needed(dialect: str) -> Engine:
    """The engine; in CI it must be there, elsewhere its tests say that they did not run."""
    if dialect == "duckdb":
        return DuckDb()
    absent = "" if _PYTHON.exists() else "needs chDB and Spark: make test installs them"
    if dialect == "spark" and shutil.which("java") is None:
        absent = "needs Java 17 for Spark: sh tests/need.sh"
    if absent and os.environ.get("CI"):
        pytest.fail(f"{absent}; CI must have it")
    if absent:
        pytest.skip(absent)
    return Foreign(dialect)


def written(rows: pa.Table, path: Path) -> Path:
    """The rows in a file, in place of what was there."""
    pq.write_table(rows, path)
    return path
