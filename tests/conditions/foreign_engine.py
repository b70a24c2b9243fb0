"""ClickHouse or Spark as a process of its own: a query in JSON on each line in, its rows in JSON on a line out.

Runs in the environment that `make test` installs for it, which has nothing of Tocsin: chDB brings pandas, which pyarrow
would then load into everything that is tested.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

Query = Callable[[dict[str, str]], list[list[Any]]]


def _clickhouse() -> Query:
    from chdb import session  # noqa: PLC0415 - only what is asked for is installed everywhere

    opened = session.Session()

    def rows(asked: dict[str, str]) -> list[list[Any]]:
        answer = opened.query(
            asked["query"].replace("{rows}", f"file('{asked['rows']}', Parquet)"), "JSONCompactEachRow"
        )
        return [json.loads(line) for line in bytes(answer.bytes()).splitlines()]

    return rows


def _spark() -> Query:
    from pyspark.sql import SparkSession  # noqa: PLC0415 - starts a JVM

    builder: Any = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()

    def rows(asked: dict[str, str]) -> list[list[Any]]:
        return [
            list(row) for row in session.sql(asked["query"].replace("{rows}", f"parquet.`{asked['rows']}`")).collect()
        ]

    return rows


def _answer(rows: Query, line: str) -> dict[str, Any]:
    try:
        return {"rows": rows(json.loads(line))}
    except Exception as error:  # noqa: BLE001 - whatever it is, the test shall show it
        return {"error": str(error)}


if __name__ == "__main__":
    ask = {"clickhouse": _clickhouse, "spark": _spark}[sys.argv[1]]()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(ask, line)) + "\n")
        sys.stdout.flush()
