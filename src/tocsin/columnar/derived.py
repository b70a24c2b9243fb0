"""What follows from an event's class, activity, severity, status and filled attributes, for whole columns.

`model.event.nest` says what follows, once per distinct combination; the columns only repeat its answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.columnar.frame import Frame
from tocsin.model.event import Event, Json, Value, nest

__all__ = ["DERIVED", "derived_columns"]

_TEXT = pa.dictionary(pa.int32(), pa.string())
DERIVED: dict[str, pa.DataType] = {
    "activity_id": pa.int64(),
    "activity_name": _TEXT,
    "category_uid": pa.int64(),
    "category_name": _TEXT,
    "class_uid": pa.int64(),
    "class_name": _TEXT,
    "type_uid": pa.int64(),
    "type_name": _TEXT,
    "severity_id": pa.int64(),
    "severity": _TEXT,
    "status": _TEXT,
    "metadata.version": _TEXT,
    "metadata.product.name": _TEXT,
    "metadata.product.vendor_name": _TEXT,
    "metadata.profiles": pa.list_(_TEXT),
}
_DECIDING = ("activity_id", "severity_id", "status_id")


def derived_columns(frame: Frame) -> dict[str, pa.Array]:
    """A column for each path of `DERIVED`."""
    features = [_codes(frame, path) for path in _DECIDING if path in frame.table.column_names]
    features += [_filled(frame, paths) for paths in _profile_paths(frame)]
    combination, first_rows = _combine(features, len(frame))
    answers = [nest(_deciding_event(frame, row)) for row in first_rows]
    places = pa.array(combination)
    return {path: _answers(answers, path, type_).take(places) for path, type_ in DERIVED.items()}


def _codes(frame: Frame, path: str) -> npt.NDArray[np.int64]:
    encoded = frame.table[path].combine_chunks().dictionary_encode(null_encoding="encode")
    codes: npt.NDArray[np.int64] = _array(encoded).indices.to_numpy().astype(np.int64)
    return codes


def _array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _profile_paths(frame: Frame) -> Iterable[list[str]]:
    """The columns that decide about one profile each."""
    names = frame.table.column_names
    yield [path for path in names if path.endswith(("process.euid", "process.auid"))]
    yield [path for path in names if ".container." in path]
    yield [path for path in names if path.startswith("cloud.")]


def _filled(frame: Frame, paths: Iterable[str]) -> npt.NDArray[np.int64]:
    filled = np.zeros(len(frame), np.bool_)
    for path in paths:
        filled |= pc.is_valid(frame.table[path]).to_numpy()
    return filled.astype(np.int64)


def _combine(features: Iterable[npt.NDArray[np.int64]], rows: int) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Number the combinations that occur, and name one row of each."""
    combined = np.zeros(rows, np.int64)
    for feature in features:
        combined = combined * (int(feature.max(initial=0)) + 1) + feature
    _, first_rows, numbers = np.unique(combined, return_index=True, return_inverse=True)
    return numbers.astype(np.int64), first_rows.tolist()


def _deciding_event(frame: Frame, row: int) -> Event:
    deciding = {*_DECIDING, *(path for paths in _profile_paths(frame) for path in paths)}
    values: dict[str, Value] = {}
    for path in frame.table.column_names:
        if path in deciding and (value := frame.table[path][row].as_py()) is not None:
            values[path] = value
    return Event(frame.class_uid, values)


def _answers(answers: Iterable[Mapping[str, Json]], path: str, type_: pa.DataType) -> pa.Array:
    return pa.array([_at(answer, path) for answer in answers], type_)


def _at(nested: Mapping[str, Json], path: str) -> Json:
    place: Json = dict(nested)
    for name in path.split("."):
        place = place.get(name) if isinstance(place, dict) else None
    return place
