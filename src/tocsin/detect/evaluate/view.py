"""A frame as the compiled rules see it: per field, the classes of its values, gathered to rows."""

from __future__ import annotations

from functools import reduce
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from tocsin.columnar.frame import Frame
from tocsin.columnar.records import RecordFrame
from tocsin.conditions.following import FOLLOWING, following_text
from tocsin.detect.evaluate.classified import Classified, Codes, Column, Mask
from tocsin.detect.evaluate.record_search import RecordSearch
from tocsin.detect.evaluate.texts import TYPE, attribute_text, parse_source, source_leaves, source_texts
from tocsin.detect.evaluate.value_index import ValueIndex
from tocsin.model.condition import SOURCE, Field, Scope, keyword_paths

__all__ = ["EventView", "RecordView", "View"]


class Searched(Protocol):
    """Somewhere that keywords are searched in."""

    def mask(self, tests: frozenset[int], among: Mask | None = None) -> Mask | None:
        """The rows of which some text passes one of the tests; None if there are none."""
        ...


class View:
    """What a condition can be judged by: events, or the records of events."""

    def __init__(self, length: int) -> None:
        self.length = length
        # There is one index per field, and one for keywords; they are quicker keys than fields.
        self._classified: dict[ValueIndex, Classified | None] = {}
        self._searched: dict[ValueIndex, list[Searched]] = {}

    def column(self, field: Field) -> Column | None:
        """The field's texts, or None if it occurs nowhere."""
        raise NotImplementedError

    def search(self, index: ValueIndex) -> list[Searched]:
        """All that keywords are searched in."""
        raise NotImplementedError

    def classified(self, field: Field, index: ValueIndex) -> Classified | None:
        """The field's judged values, or None if it occurs nowhere."""
        if index not in self._classified:
            column = self.column(field)
            self._classified[index] = None if column is None else Classified(column, index, self.length)
        return self._classified[index]

    def searched(self, index: ValueIndex) -> list[Searched]:
        """The same, looked up once."""
        if index not in self._searched:
            self._searched[index] = self.search(index)
        return self._searched[index]

    def texts(self, field: Field) -> list[list[str]]:
        """The field's texts, row by row."""
        found: list[list[str]] = [[] for _ in range(self.length)]
        column = self.column(field)
        if column is None:
            return found
        rows = range(self.length) if column.rows is None else column.rows.tolist()
        for row, code in zip(rows, column.codes.tolist(), strict=True):
            value = column.values[code] if code >= 0 else None
            if value is not None:
                found[row].append(value)
        return found


class EventView(View):
    """The events of a frame."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(len(frame))
        self._frame = frame
        self._paths = frozenset(frame.table.column_names)
        self._columns: dict[str, Column] = {}
        self._originals: list[Any] | None = None
        self.records = RecordView(frame.records, self) if frame.records is not None else None

    def column(self, field: Field) -> Column | None:
        """The texts of an attribute, or of a path in the original."""
        if field.scope is Scope.SOURCE:
            return self._source_column(field.path)
        if field.scope is Scope.ATTRIBUTE and field.path in FOLLOWING:
            return self._following(field.path)
        if field.scope is Scope.RECORD or field.path not in self._paths:
            return None
        if field.path not in self._columns:
            self._columns[field.path] = _texts(self._frame.table.column(field.path).combine_chunks())
        return self._columns[field.path]

    def search(self, index: ValueIndex) -> list[Searched]:
        """The attributes that keywords are searched in, and every text of the original."""
        columns = [self.column(Field(path)) for path in keyword_paths(self._frame.class_uid)]
        present = [column for column in [*columns, self._source_column(None)] if column is not None]
        return [Classified(column, index, self.length) for column in present]

    def _following(self, path: str) -> Column:
        """What follows from the class and each row's activity."""
        activities, codes = np.zeros(1, np.int64), np.zeros(self.length, np.intp)
        if "activity_id" in self._paths:
            column = self._frame.table.column("activity_id").fill_null(0).to_numpy()
            activities, codes = np.unique(column, return_inverse=True)
        texts = [following_text(path, self._frame.class_uid, activity) for activity in activities.tolist()]
        return Column(texts, codes)

    def _source_column(self, path: str | None) -> Column | None:
        """Texts at a path in the originals, or all of them."""
        whole = self.column(Field(SOURCE))
        if whole is None:
            return None
        if self._originals is None:
            self._originals = [None if value is None else parse_source(value) for value in whole.values]
        found = [list(source_leaves(each) if path is None else source_texts(each, path)) for each in self._originals]
        values, rows = [], []
        for row, code in enumerate(whole.codes.tolist()):
            if code >= 0:
                values += found[code]
                rows += [row] * len(found[code])
        return Column(values, np.arange(len(values)), np.array(rows, np.intp))


class RecordView(View):
    """The records of a frame's events; attributes of the event are seen from each of its records."""

    def __init__(self, records: RecordFrame, events: EventView) -> None:
        super().__init__(len(records))
        self._records, self._events = records, events
        self.row: Final[Codes] = records.row.astype(np.intp)

    def column(self, field: Field) -> Column | None:
        """A key's values; or the event's texts, repeated for each record."""
        if field.scope is not Scope.RECORD:
            return self._of_event(field)
        found = self._records.types if field.path == TYPE else self._records.column(field.path)
        return None if found is None else _texts(found)

    def search(self, index: ValueIndex) -> list[Searched]:
        """The types of the records, and every value."""
        return [Classified(_texts(self._records.types), index, self.length), _Values(self._records, index, self)]

    def to_events(self, mask: Mask) -> Mask:
        """The events of which some record is in the mask."""
        events = np.zeros(self._events.length, np.bool_)
        events[self.row[mask]] = True
        return events

    def _of_event(self, field: Field) -> Column | None:
        column = self._events.column(field)
        if column is None:
            return None
        if column.rows is None:
            return Column(column.values, column.codes[self.row])
        # Entry e of event r is an entry of each record of r.
        order = np.argsort(column.rows, kind="stable")
        first = np.searchsorted(column.rows[order], self.row)
        count = np.searchsorted(column.rows[order], self.row, side="right") - first
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        entries = order[np.repeat(first, count) + within]
        return Column(column.values, column.codes[entries], np.repeat(np.arange(self.length), count))


class _Values:
    """All values of records, searched in one go; by columns only for tests that nothing can be scanned for."""

    def __init__(self, records: RecordFrame, index: ValueIndex, view: RecordView) -> None:
        self._records, self._index, self._view = records, index, view
        self._search = RecordSearch(records, index)
        self._keys = records.keys()

    def mask(self, tests: frozenset[int], among: Mask | None = None) -> Mask | None:
        scanned = tests & self._index.scanned.keys()
        masks = [self._search.mask(test) for test in scanned]
        others = tests - scanned
        if others:
            masks += [mask for column in self._columns() if (mask := column.mask(others, among)) is not None]
        found = reduce(np.logical_or, masks, np.zeros(self._view.length, np.bool_))
        return found if found.any() else None

    def _columns(self) -> list[Classified]:
        columns = [self._view.column(Field(key, Scope.RECORD)) for key in self._keys]
        return [Classified(column, self._index, self._view.length) for column in columns if column is not None]


def _texts(array: Any) -> Column:  # noqa: ANN401 - pyarrow has no types
    if isinstance(array, pa.DictionaryArray):
        return Column(array.dictionary.to_pylist(), _codes(array.indices))
    encoded = array.dictionary_encode()
    values = [None if value is None else attribute_text(value) for value in encoded.dictionary.to_pylist()]
    return Column(values, _codes(encoded.indices))


def _codes(indices: Any) -> Codes:  # noqa: ANN401 - pyarrow has no types
    filled = indices.fill_null(-1) if indices.null_count else indices
    codes: Codes = filled.to_numpy(zero_copy_only=False).astype(np.intp)
    return codes
