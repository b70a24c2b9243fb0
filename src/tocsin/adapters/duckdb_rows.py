"""Which rows of the lake's files satisfy a condition, asked of DuckDB: the quickest way for a few conditions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import duckdb
import numpy as np
import numpy.typing as npt

from tocsin.adapters.pieces import FilePiece
from tocsin.conditions.render_sql import render_filter
from tocsin.model.condition import Condition
from tocsin.model.errors import TryLater, Unreachable

__all__ = ["DuckdbRows"]


class DuckdbRows:
    """An engine of its own, with as much memory as it is given."""

    def __init__(self, memory_limit: str = "2GB") -> None:
        self._database = duckdb.connect(config={"memory_limit": memory_limit, "autoinstall_known_extensions": "false"})

    def close(self) -> None:
        """Close the engine."""
        self._database.close()

    def matching(
        self, pieces: Sequence[FilePiece], condition: Condition, since: int, until: int
    ) -> list[tuple[FilePiece, npt.NDArray[np.int64]]]:
        """For pieces of one class, the rows of that time that satisfy the condition, ascending; without empty ones.

        Raises:
            InvalidQuery: the condition has a literal that SQL cannot say.
            TryLater, Unreachable: not enough memory; a file cannot be read.
        """
        if not pieces:
            return []
        of_file: defaultdict[str, list[FilePiece]] = defaultdict(list)
        for piece in pieces:
            of_file[piece.path].append(piece)
        found = self._ask(list(of_file), render_filter(condition, pieces[0].class_uid), since, until)
        return [
            (piece, rows - piece.first_row)
            for path, all_rows in found.items()
            for piece in of_file[path]
            if len(rows := _between(all_rows, piece.first_row, piece.first_row + piece.rows))
        ]

    def _ask(self, paths: Sequence[str], where: str, since: int, until: int) -> dict[str, npt.NDArray[np.int64]]:
        sql = (
            "SELECT filename, list(file_row_number ORDER BY file_row_number) "  # noqa: S608 -- rendered from the tree
            "FROM read_parquet($paths, union_by_name = true, filename = true, file_row_number = true) "
            f'WHERE "time" >= $since AND "time" < $until AND ({where}) GROUP BY filename'
        )
        try:
            rows = self._database.cursor().execute(sql, {"paths": paths, "since": since, "until": until}).fetchall()
        except duckdb.OutOfMemoryException as error:
            raise TryLater("the question needs more memory than it may have: ask for less time") from error
        except duckdb.IOException as error:
            raise Unreachable(f"a file of the lake cannot be read: {error}") from error
        return {path: np.array(numbers, np.int64) for path, numbers in rows}


def _between(rows: npt.NDArray[np.int64], start: int, end: int) -> npt.NDArray[np.int64]:
    first, last = np.searchsorted(rows, [start, end])
    return rows[first:last]
