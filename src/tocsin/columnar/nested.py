"""Frames in OCSF's nested form, as the lake keeps them and DuckDB reads them.

The schema of a class is fixed: all attributes that the class declares, what follows from class and activity, and the
source's records as list<struct<type, fields: map>>. JSON attributes stay text. A struct of which no event has anything
is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.columnar.derived import DERIVED, derived_columns
from tocsin.columnar.frame import Frame
from tocsin.columnar.records import RecordFrame, places
from tocsin.model.schema import CLASSES, RECORDS, Kind

__all__ = ["nested", "paths", "plain", "schema"]

_TEXT = pa.dictionary(pa.int32(), pa.string())
_RECORD = pa.struct([("type", _TEXT), ("fields", pa.map_(_TEXT, pa.string()))])
_TYPES = {
    Kind.STRING: _TEXT,
    Kind.JSON: _TEXT,
    Kind.INTEGER: pa.int64(),
    Kind.TIMESTAMP: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
}

# A folder of the nested form, or the Arrow type of a leaf.
_Tree = dict[str, "_Tree | pa.DataType"]


@cache
def paths(class_uid: int) -> dict[str, pa.DataType]:
    """Every path that a row of the class has, with its Arrow type; records are the last."""
    declared = {a.path: _TYPES[a.kind] for a in CLASSES[class_uid].attributes}
    declared["metadata.uid"] = pa.string()
    return {**declared, **DERIVED, RECORDS: pa.list_(_RECORD)}


@cache
def schema(class_uid: int) -> pa.Schema:
    """The class's nested schema as a table declares it: plain text instead of dictionaries."""
    return plain(pa.schema([(name, _type_of(branch)) for name, branch in _tree(class_uid).items()]))


def plain(nested_schema: pa.Schema) -> pa.Schema:
    """The same schema with text where there are dictionaries of text."""
    return pa.schema([(field.name, _plain(field.type)) for field in nested_schema])


def nested(frame: Frame) -> pa.Table:
    """The frame's events in the nested schema of their class; text stays dictionary-encoded."""
    leaves: dict[str, pa.Array] = {
        name: _whole(column) for name, column in zip(frame.table.column_names, frame.table.columns, strict=True)
    }
    leaves |= derived_columns(frame)
    if frame.records is not None:
        leaves[RECORDS] = _records(frame.records, len(frame))
    tree = _tree(frame.class_uid)
    arrays = [_build(branch, name, leaves, len(frame)) for name, branch in tree.items()]
    return pa.table(arrays, names=list(tree))


@cache
def _tree(class_uid: int) -> _Tree:
    tree: _Tree = {}
    for path, type_ in paths(class_uid).items():
        *folders, leaf = path.split(".")
        place = tree
        for folder in folders:
            inner = place.setdefault(folder, {})
            if not isinstance(inner, dict):
                raise TypeError(f"attribute {path} of class {class_uid} runs through the value of {folder}")
            place = inner
        place[leaf] = type_
    return tree


def _type_of(branch: _Tree | pa.DataType) -> pa.DataType:
    if isinstance(branch, Mapping):
        return pa.struct([(name, _type_of(inner)) for name, inner in branch.items()])
    return branch


def _plain(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(type_):
        return type_.value_type
    if pa.types.is_struct(type_):
        return pa.struct([(field.name, _plain(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(_plain(type_.key_type), _plain(type_.item_type))
    if pa.types.is_list(type_):
        return pa.list_(_plain(type_.value_type))
    return type_


def _build(branch: _Tree | pa.DataType, path: str, leaves: Mapping[str, pa.Array], rows: int) -> pa.Array:
    if not isinstance(branch, Mapping):
        return leaves[path] if path in leaves else pa.nulls(rows, branch)
    if not any(leaf.startswith(f"{path}.") for leaf in leaves):
        return pa.nulls(rows, _type_of(branch))
    inner = {name: _build(child, f"{path}.{name}", leaves, rows) for name, child in branch.items()}
    return pa.StructArray.from_arrays(list(inner.values()), names=list(inner))


def _records(records: RecordFrame, rows: int) -> pa.ListArray:
    # Records lie in the order of their rows, so a row's list ends where the next row's begins.
    offsets = np.searchsorted(records.row, np.arange(rows + 1)).astype(np.int32)
    items = pa.StructArray.from_arrays([records.types, _fields(records)], fields=list(_RECORD))
    return pa.ListArray.from_arrays(pa.array(offsets), items, type=pa.list_(_RECORD))


def _fields(records: RecordFrame) -> pa.MapArray:
    by_shape = [places(shape) for shape in records.shapes]
    names = list(dict.fromkeys(key for keys in by_shape for key in keys))
    code = {name: number for number, name in enumerate(names)}
    counts = np.array([len(keys) for keys in by_shape] or [0], np.int64)
    pick = _ranges((np.cumsum(counts) - counts)[records.shape_of], counts[records.shape_of])
    codes = np.array([code[key] for keys in by_shape for key in keys], np.int32)[pick]
    place = np.array([at for keys in by_shape for at in keys.values()], np.int64)[pick]
    lengths = counts[records.shape_of]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    values = records.values
    if len(values) != len(place) or any(list(keys.values()) != list(range(len(keys))) for keys in by_shape):
        values = values.take(pa.array(np.repeat(records.starts[:-1], lengths) + place))
    keys = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names, pa.string()))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, values)


def _ranges(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """start, start + 1, ... for each start, one range after another."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    within: npt.NDArray[np.int64] = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return within


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pc.take(column, pa.array(range(len(column)))).chunk(0)
