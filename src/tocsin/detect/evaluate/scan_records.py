"""Look for keys in all values of all records, in one scan and without building their columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tocsin.columnar.records import RecordFrame, places
from tocsin.detect.evaluate.cells import Column, Rows, column_of, haystack_of
from tocsin.detect.evaluate.key import Key, Look
from tocsin.detect.evaluate.scan import FieldScan, Found, LiteralScan, is_looked_up
from tocsin.detect.evaluate.texts import TYPE
from tocsin.model.condition import Field

__all__ = ["RecordScan"]


class RecordScan:
    """Keys of records' fields, and of keywords that are searched in records."""

    def __init__(self, keys: Mapping[int, Key]) -> None:
        self._names = {at: key.field.path for at, key in keys.items() if key.field is not None}
        in_types = {at: key for at, key in keys.items() if self._names.get(at, TYPE) == TYPE}
        others = {at: key for at, key in keys.items() if self._names.get(at) != TYPE}
        self._types = FieldScan(in_types)
        self._present = [at for at, key in others.items() if key.look is Look.PRESENT]
        self._looked_up = _by_field({at: key for at, key in others.items() if is_looked_up(key)})
        self._scan = LiteralScan(
            (at, key.literal, key.look)
            for at, key in others.items()
            if not is_looked_up(key) and key.look is not Look.PRESENT
        )

    def __bool__(self) -> bool:
        return bool(self._names or self._types or self._scan)

    def find(self, records: RecordFrame) -> Found:
        """The events with a record that has the key; keys that none has are left out."""
        found = self._types.find(_with_rows(records.types, records))
        for field, scan in self._looked_up.items():
            column = records.column(field.path)
            found |= scan.find(_with_rows(column, records)) if column is not None else {}
        found |= {at: rows for at in self._present if len(rows := self._having(records, self._names[at]))}
        for at, rows in self._scanned(records).items():
            found[at] = np.union1d(found[at], rows) if at in found else rows
        return found

    def _having(self, records: RecordFrame, name: str) -> Rows:
        has = np.array([name in places(shape) for shape in records.shapes] or [False])
        return np.unique(records.row[has[records.shape_of]]).astype(np.int64)

    def _scanned(self, records: RecordFrame) -> Found:
        hits = self._scan.occurrences(haystack_of(records.values)) if self._scan else {}
        found: Found = {}
        for key, values in hits.items():
            record = np.searchsorted(records.starts, values, side="right") - 1
            if (name := self._names.get(key)) is not None:
                # The value must be that of the key's field.
                place = np.array([places(shape).get(name, -1) for shape in records.shapes], np.int64)
                record = record[place[records.shape_of[record]] == values - records.starts[record]]
            if len(record):
                found[key] = np.unique(records.row[record]).astype(np.int64)
        return found


def _by_field(keys: Mapping[int, Key]) -> dict[Field, FieldScan]:
    grouped: dict[Field, dict[int, Key]] = {}
    for at, key in keys.items():
        if key.field is not None:
            grouped.setdefault(key.field, {})[at] = key
    return {field: FieldScan(of_field) for field, of_field in grouped.items()}


def _with_rows(array: object, records: RecordFrame) -> Column:
    column = column_of(array)
    return Column(column.values, column.codes, records.row.astype(np.int64))
