"""Frames out of the nested form: what `nested` made, read back from a file of the lake or from hot rows.

Tables may lack columns that nobody asked for, and those that their class did not have yet when they were written.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.columnar.frame import Frame
from tocsin.columnar.records import RecordFrame
from tocsin.model.schema import CLASSES, RECORDS

__all__ = ["column_at", "flat", "flat_columns", "has_path"]

_TEXT = pa.dictionary(pa.int32(), pa.string())


def flat(rows: pa.Table, class_uid: int) -> Frame:
    """The rows as a frame of their class, with the columns that they have and that hold anything; `nested` undone."""
    table = flat_columns(rows, (attribute.path for attribute in CLASSES[class_uid].attributes))
    records = column_at(rows, RECORDS) if has_path(rows.schema, RECORDS) else None
    return Frame(class_uid, table, None if records is None else _records(records))


def flat_columns(rows: pa.Table, wanted: Iterable[str]) -> pa.Table:
    """These paths of the rows as columns; text is dictionary-encoded, what is absent or empty is left out."""
    found = {path: column_at(rows, path) for path in wanted if has_path(rows.schema, path)}
    kept = {path: _encoded(path, column) for path, column in found.items() if column.null_count < len(column)}
    return pa.table(list(kept.values()), names=list(kept))


def has_path(schema: pa.Schema, path: str) -> bool:
    """Do rows of that nested schema have the path?"""
    name, *inner = path.split(".")
    if schema.get_field_index(name) < 0:
        return False
    type_ = schema.field(name).type
    for part in inner:
        if not pa.types.is_struct(type_) or type_.get_field_index(part) < 0:
            return False
        type_ = type_.field(part).type
    return True


def column_at(rows: pa.Table, path: str) -> pa.Array:
    """The values at a path, null where a struct on the way is."""
    name, *inner = path.split(".")
    column = rows[name].combine_chunks() if not inner else pc.struct_field(rows[name], inner).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)
    return column


def _encoded(path: str, column: pa.Array) -> pa.Array:
    if path != "metadata.uid" and pa.types.is_string(column.type):
        return column.dictionary_encode()
    return column


def _records(lists: pa.ListArray) -> RecordFrame | None:
    counts = pc.list_value_length(lists).fill_null(0).to_numpy()
    items = lists.flatten()
    if not len(items):
        return None
    types, fields = pc.struct_field(items, ["type"]), pc.struct_field(items, ["fields"])
    offsets = fields.offsets.to_numpy()
    first, size = int(offsets[0]), int(offsets[-1] - offsets[0])
    keys, values = fields.keys.slice(first, size), fields.items.slice(first, size)
    shapes, shape_of = _shapes(_dictionary(types), _dictionary(keys), np.diff(offsets))
    row = np.repeat(np.arange(len(lists), dtype=np.int32), counts)
    return RecordFrame(row, shapes, shape_of, values)


def _dictionary(texts: pa.Array) -> pa.DictionaryArray:
    return texts if isinstance(texts, pa.DictionaryArray) else texts.dictionary_encode()


def _shapes(
    types: pa.DictionaryArray, keys: pa.DictionaryArray, widths: npt.NDArray[np.int64]
) -> tuple[list[tuple[str, ...]], npt.NDArray[np.int32]]:
    """The distinct (type, key, key, ...) of records, and which of them each record has."""
    codes = keys.indices.to_numpy().astype(np.int64)
    ends = np.cumsum(widths)
    marks = _marks(types.indices.to_numpy().astype(np.int64), codes, widths, ends)
    _, samples, shape_of = np.unique(marks, return_index=True, return_inverse=True)
    names, kinds = keys.dictionary.to_pylist(), types.dictionary.to_pylist()
    shapes = []
    for sample in samples.tolist():
        end = int(ends[sample])
        of_sample = codes[end - int(widths[sample]) : end]
        shapes.append((kinds[types.indices[sample].as_py()], *(names[code] for code in of_sample.tolist())))
    return shapes, shape_of.astype(np.int32)


def _marks(
    kinds: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64],
    widths: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.uint64]:
    """A 64-bit number per record: the same for the same shape, and (but for one chance in 2**64) for no other."""
    random = np.random.default_rng(0)
    place = np.arange(len(codes)) - np.repeat(ends - widths, widths)
    by_code = random.integers(1, 2**64, int(codes.max(initial=0)) + 1, np.uint64)
    by_place = random.integers(0, 2**63, int(place.max(initial=0)) + 1, np.uint64) * np.uint64(2) + np.uint64(1)
    mixed = by_code[codes] * by_place[place]
    mixed ^= mixed >> np.uint64(29)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    by_kind = random.integers(1, 2**64, int(kinds.max(initial=0)) + 1, np.uint64)
    marks: npt.NDArray[np.uint64] = sums[ends] - sums[ends - widths] + by_kind[kinds]
    return marks
