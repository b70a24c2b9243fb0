"""The engines that conditions are rendered for, as tests ask them: expressions over the rows of a Parquet file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

__all__ = ["ClickHouse", "DuckDb", "Engine", "Spark", "Truths", "needed", "written"]

Truths = list[list[bool]]  # by row, by expression


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


class ClickHouse:
    dialect = "clickhouse"

    def __init__(self) -> None:
        from chdb import session  # noqa: PLC0415 - half a gigabyte, loaded where it is asked

        self._session: Any = session.Session()

    def truths(self, rows: Path, expressions: Sequence[str], order: str) -> Truths:
        answer = self._session.query(_select(expressions, f"file('{rows}', Parquet)", order), "JSONCompactEachRow")
        lines = bytes(answer.bytes()).splitlines()
        return [[bool(each) for each in msgspec.json.decode(line)] for line in lines]


class Spark:
    dialect = "spark"

    def __init__(self) -> None:
        from pyspark.sql import SparkSession  # noqa: PLC0415 - starts a JVM

        builder: Any = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        self._session = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()

    def truths(self, rows: Path, expressions: Sequence[str], order: str) -> Truths:
        found = self._session.sql(_select(expressions, f"parquet.`{rows}`", order)).collect()
        return [[bool(each) for each in row] for row in found]


def needed(dialect: str) -> Engine:
    """The engine; without Java, Spark's tests say that they did not run."""
    if dialect == "spark" and shutil.which("java") is None:
        pytest.skip("needs Java 17 for Spark: sh tests/need.sh")
    engines: dict[str, type[Engine]] = {"duckdb": DuckDb, "clickhouse": ClickHouse, "spark": Spark}
    return engines[dialect]()


def written(rows: pa.Table, path: Path) -> Path:
    """The rows in a file, in place of what was there."""
    pq.write_table(rows, path)
    return path
