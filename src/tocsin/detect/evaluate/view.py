"""A frame as compiled rules see it: per field its cells, found when a rule first asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from tocsin.columnar.frame import Frame
from tocsin.columnar.records import RecordFrame
from tocsin.conditions.following import FOLLOWING, following_text
from tocsin.detect.evaluate.cells import (
    NOTHING,
    Cells,
    Column,
    Originals,
    RecordCells,
    Repeated,
    Rows,
    TypeCells,
    column_of,
)
from tocsin.detect.evaluate.texts import TYPE
from tocsin.model.condition import SOURCE, Field, Scope, fold, keyword_paths
from tocsin.model.event import Json

__all__ = ["EventView", "RecordView", "View"]

_TAKEN_OUT: Final = f"{SOURCE}."


class View(dict[str, Cells]):
    """The cells of each field by its full path, as far as somebody has asked for them."""

    def __init__(self) -> None:
        super().__init__()
        self._joined: dict[int, str] = {}

    def cells(self, field: Field) -> Cells:
        """The cells of a field, found when it is first asked for."""
        known = self.get(field.full_path)
        if known is None:
            known = self[field.full_path] = self._found(field)
        return known

    def searched_joined(self, row: int) -> str:
        """All folded texts of a row that keywords are searched in, with NUL between them."""
        known = self._joined.get(row)
        if known is None:
            joined = "\0".join([text for cells in self.searched() for text in cells.texts(row)])
            known = self._joined[row] = fold(joined)
        return known

    def _found(self, field: Field) -> Cells:
        raise NotImplementedError

    def searched(self) -> list[Cells]:
        """All that keywords are searched in."""
        raise NotImplementedError


class EventView(View):
    """The events of a frame.

    Paths of originals may have been taken out into columns of their own, named `unmapped.source.<path>`: then all have
    been that rules name, and one that has no column is in no event.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame: Final = frame
        self.paths: Final = frozenset(frame.table.column_names)
        self.taken_out: Final = any(path.startswith(_TAKEN_OUT) for path in self.paths)
        # What keys are looked for in JSON as it is, where they are found too often.
        self.vague: Final = _vague(whole=SOURCE in self.paths, taken_out=self.taken_out)
        self._columns: dict[str, Column] = {}
        self._parsed: dict[str, Json] = {}
        self._searched: list[Cells] | None = None
        self.records = RecordView(frame.records, self) if frame.records is not None else None

    def _found(self, field: Field) -> Cells:
        if field.scope is Scope.SOURCE and SOURCE in self.paths and not self.taken_out:
            return Originals(self.column(SOURCE), field.path, self._parsed)
        if field.scope is Scope.ATTRIBUTE and field.path in FOLLOWING:
            return self.column(field.path)
        if field.scope is Scope.RECORD or field.full_path not in self.paths:
            return NOTHING
        return self.column(field.full_path)

    def column(self, path: str) -> Column:
        """The column of a path that the frame has, or that follows from class and activity."""
        known = self._columns.get(path)
        if known is None:
            known = self._following(path) if path in FOLLOWING else column_of(_whole(self.frame.table.column(path)))
            self._columns[path] = known
        return known

    def searched_paths(self) -> list[str]:
        """The columns that keywords are searched in, the originals apart."""
        declared = [path for path in keyword_paths(self.frame.class_uid) if path in self.paths]
        if SOURCE in self.paths:
            return declared
        return declared + [path for path in self.frame.table.column_names if path.startswith(_TAKEN_OUT)]

    def searched(self) -> list[Cells]:
        """The attributes that keywords are searched in, and every text of the original."""
        if self._searched is None:
            self._searched = [self.column(path) for path in self.searched_paths()]
            if SOURCE in self.paths:
                self._searched.append(Originals(self.column(SOURCE), None, self._parsed))
        return self._searched

    def _following(self, path: str) -> Column:
        """What follows from the class and each row's activity."""
        frame = self.frame
        activities, codes = np.zeros(1, np.int64), np.zeros(len(frame), np.int32)
        if "activity_id" in self.paths:
            column = frame.table.column("activity_id").fill_null(0).to_numpy()
            activities, inverse = np.unique(column, return_inverse=True)
            codes = inverse.astype(np.int32)
        texts = [following_text(path, frame.class_uid, activity) for activity in activities.tolist()]
        missing = np.array([text is None for text in texts])
        codes = np.where(missing[codes], np.int32(-1), codes)
        return Column(pa.array([text or "" for text in texts], pa.string()), codes)


class RecordView(View):
    """The records of a frame's events; attributes of the event are seen from each of its records."""

    def __init__(self, records: RecordFrame, events: EventView) -> None:
        super().__init__()
        self.frame: Final = records
        self._events = events
        row_of = memoryview(np.ascontiguousarray(records.row))  # type: ignore[arg-type]  # numpy's arrays are buffers
        self._row_of: Sequence[int] = row_of
        self._searched: list[Cells] | None = None
        self._whole: dict[str, Cells] = {}

    def _found(self, field: Field) -> Cells:
        if field.scope is not Scope.RECORD:
            return Repeated(self._events.cells(field), self._row_of)
        return TypeCells(self.frame) if field.path == TYPE else RecordCells(self.frame, field.path)

    def searched(self) -> list[Cells]:
        """The types of the records, and every value."""
        if self._searched is None:
            self._searched = [TypeCells(self.frame), RecordCells(self.frame, None)]
        return self._searched

    def whole(self, field: Field) -> Cells:
        """The key's values of all records as a column: dearer than the cells, and cheaper for many rows."""
        path = field.full_path
        if field.scope is not Scope.RECORD:
            return self.cells(field)
        if path not in self._whole:
            found = self.frame.types if field.path == TYPE else self.frame.column(field.path)
            self._whole[path] = NOTHING if found is None else column_of(found)
        return self._whole[path]

    def of(self, row: int) -> range:
        """The records of an event."""
        return range(bisect_left(self._row_of, row), bisect_left(self._row_of, row + 1))

    def of_many(self, rows: Rows) -> tuple[Rows, Rows]:
        """The records of events, and for each of them which of the rows it belongs to."""
        ends = np.asarray(rows, self.frame.row.dtype)
        first = np.searchsorted(self.frame.row, ends)
        counts = np.searchsorted(self.frame.row, ends, side="right") - first
        owners = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(first, counts) + within, owners


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _vague(*, whole: bool, taken_out: bool) -> frozenset[Scope | None]:
    if not whole:
        return frozenset()
    return frozenset({None}) if taken_out else frozenset({None, Scope.SOURCE})
