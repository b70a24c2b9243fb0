"""Stored rows in pieces of a size that one process judges at a time: runs of row groups of a file, or hot rows."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tocsin.columnar.flat import column_at
from tocsin.columnar.grams import sets_of
from tocsin.model.errors import Unreachable

__all__ = ["FilePiece", "HotPiece", "file_pieces", "hot_piece"]

# Four row groups: large enough that what is done once per piece costs little, small enough to keep in memory.
_GROUPS: Final = 4


@dataclass(frozen=True)
class FilePiece:
    """Neighbouring row groups of a file of the lake; `first_row` is the number of the first row in the file."""

    class_uid: int
    path: str
    groups: tuple[int, ...]
    first_row: int
    rows: int

    def __len__(self) -> int:
        return self.rows

    def read(self, paths: Collection[str]) -> pa.Table:
        """These paths of all rows, nested.

        Raises:
            Unreachable: the file cannot be read, e.g. is gone.
        """
        return _read(self.path, self.groups, paths)

    def pick(self, rows: Sequence[int], paths: Collection[str]) -> pa.Table:
        """The same of some rows; row groups that have none of them are not read."""
        edges = self._edges
        numbers = np.asarray(rows, np.int64)
        group_of = np.searchsorted(edges, numbers, side="right") - 1
        wanted = np.unique(group_of)
        starts = np.cumsum([0, *(edges[g + 1] - edges[g] for g in wanted[:-1])])
        within = numbers - edges[group_of] + starts[np.searchsorted(wanted, group_of)]
        return _read(self.path, tuple(self.groups[g] for g in wanted), paths).take(pa.array(within))

    def grams(self) -> Sequence[bytes]:
        """What the file's footer says of its texts; nothing, if it was written without."""
        sets = _footer(self.path).sets
        return [sets[group] for group in self.groups] if sets else [b""]

    @cached_property
    def _edges(self) -> Any:  # noqa: ANN401 - an array of numbers
        sizes = _footer(self.path).sizes
        return np.cumsum([0, *(sizes[group] for group in self.groups)])


@dataclass(frozen=True)
class HotPiece:
    """Rows that no file holds yet."""

    class_uid: int
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def read(self, paths: Collection[str]) -> pa.Table:
        """All that there is: it is in memory anyway."""
        del paths
        return self.table

    def pick(self, rows: Sequence[int], paths: Collection[str]) -> pa.Table:
        """Some rows."""
        del paths
        return self.table.take(pa.array(rows, pa.int64()))

    def grams(self) -> Sequence[bytes]:
        """Nothing is known of rows that are to be written."""
        return [b""]


def file_pieces(class_uid: int, path: str, since: int, until: int) -> Iterator[FilePiece]:
    """A file's row groups that can hold that span of time, a few at a time."""
    footer = _footer(path)
    starts = np.cumsum([0, *footer.sizes]).tolist()
    fitting = [group for group, (first, last) in enumerate(footer.times) if first < until and last >= since]
    for groups in _runs(fitting):
        yield FilePiece(class_uid, path, groups, starts[groups[0]], sum(footer.sizes[group] for group in groups))


def hot_piece(class_uid: int, rows: pa.Table, org: str) -> HotPiece:
    """The hot rows of one org."""
    if not len(rows):
        return HotPiece(class_uid, rows)
    ours = pc.equal(column_at(rows, "metadata.tenant_uid").cast(pa.string()), org)
    return HotPiece(class_uid, rows if pc.all(ours).as_py() else rows.take(pc.indices_nonzero(ours)))


def _runs(groups: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Neighbours together, up to `_GROUPS`."""
    run: list[int] = []
    for group in groups:
        if run and (group != run[-1] + 1 or len(run) == _GROUPS):
            yield tuple(run)
            run = []
        run.append(group)
    if run:
        yield tuple(run)


def _read(path: str, groups: Sequence[int], paths: Collection[str]) -> pa.Table:
    try:
        file = _open(path)
        return file.read_row_groups(groups, columns=list(paths), use_threads=False)
    except OSError as error:
        raise Unreachable(f"a file of the lake cannot be read: {error}") from error


@lru_cache(maxsize=8)
def _open(path: str) -> pq.ParquetFile:
    return pq.ParquetFile(path)


class _Footer(NamedTuple):
    """What a file's footer says of its row groups."""

    sizes: list[int]
    times: list[tuple[int, int]]  # ms: the first, the last
    sets: list[bytes]  # of `columnar.grams`; none, if it was written without


@lru_cache(maxsize=1024)
def _footer(path: str) -> _Footer:
    metadata = _open(path).metadata
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    return _Footer([group.num_rows for group in groups], [*map(_times, groups)], sets_of(metadata.metadata))


def _times(group: Any) -> tuple[int, int]:  # noqa: ANN401 - pyarrow has no types
    for at in range(group.num_columns):
        column = group.column(at)
        if column.path_in_schema == "time" and column.is_stats_set:
            return column.statistics.min, column.statistics.max
    return 0, sys.maxsize
