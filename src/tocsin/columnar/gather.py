"""One attribute of many batches as one Arrow array, with work per batch and distinct value, never per event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tocsin.model.schema import Kind, attribute
from tocsin.model.wire import Column

__all__ = ["Pieces", "dictionary_array", "gather", "kind_of"]

# Per batch the column, or None where the batch lacks it, beside the batch's number of rows.
Pieces = tuple[Sequence[Column | None], npt.NDArray[np.int64]]

_CODES = {1: np.uint8, 2: np.uint16}
_INTEGERS = {1: np.int8, 4: np.int32, 8: np.int64}


def kind_of(path: str) -> Kind:
    """The declared kind; what no class declares is text."""
    known = attribute(path)
    return known.kind if known else Kind.STRING


def gather(path: str, pieces: Pieces) -> pa.Array:
    """All batches' values of one attribute, in order; null where a batch lacks it."""
    kind = kind_of(path)
    if kind in (Kind.STRING, Kind.JSON):
        return _gather_text(pieces)
    numbers, nulls = _gather_numbers(pieces)
    if kind is Kind.BOOLEAN:
        return pa.array(numbers != 0, mask=nulls)
    return pa.array(numbers, mask=nulls)


def dictionary_array(codes: npt.NDArray[np.int32], values: Sequence[str]) -> pa.DictionaryArray:
    """Rows that point into `values`; a negative code is null."""
    nulls = codes < 0
    indices = pa.array(codes, mask=nulls) if nulls.any() else pa.array(codes)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()), safe=False)


def _gather_text(pieces: Pieces) -> pa.DictionaryArray:
    columns, rows = pieces
    # Code c of batch b means values[starts[b] + c]; the first of every batch is its null.
    values: list[object] = []
    starts: list[int] = []
    for column in columns:
        starts.append(len(values))
        values.append(None)
        if column is None:
            continue
        if column.dictionary is not None:
            values.extend(column.dictionary)
        elif column.constant is not None:
            values.append(column.constant)
    places = np.repeat(np.array(starts, np.int64), rows)
    places += _codes(pieces)
    return pa.array(values, pa.string()).dictionary_encode().take(pa.array(places))


def _codes(pieces: Pieces) -> npt.NDArray[np.integer]:
    columns, rows = pieces
    if all(column is None or column.dictionary is None for column in columns):
        return np.repeat(np.array([c is not None and c.constant is not None for c in columns], np.uint8), rows)
    width = max(column.width for column in columns if column is not None and column.dictionary is not None)
    counts = rows.tolist()
    return np.frombuffer(b"".join([_packed(c, n, width) for c, n in zip(columns, counts, strict=True)]), _CODES[width])


def _packed(column: Column | None, rows: int, width: int) -> bytes:
    if column is None:
        return bytes(rows * width)
    if column.dictionary is None:
        code = 0 if column.constant is None else 1
        return code.to_bytes(width, "little") * rows
    if column.width == width:
        return column.codes
    return np.frombuffer(column.codes, _CODES[column.width]).astype(_CODES[width]).tobytes()


def _gather_numbers(pieces: Pieces) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_] | None]:
    columns, rows = pieces
    if all(column is not None and not column.integers and column.constant is not None for column in columns):
        return np.repeat(np.array([c.constant for c in columns if c is not None], np.int64), rows), None
    total = int(rows.sum())
    numbers = np.zeros(total, np.int64)
    nulls = np.zeros(total, np.bool_)
    end = 0
    for column, count in zip(columns, rows.tolist(), strict=True):
        start, end = end, end + count
        if column is not None and column.integers:
            numbers[start:end] = np.frombuffer(column.integers, _INTEGERS[column.width])
            if column.nulls:
                nulls[start:end] = np.frombuffer(column.nulls, np.uint8)
        elif column is not None and column.constant is not None:
            numbers[start:end] = int(column.constant)
        else:
            nulls[start:end] = True
    return numbers, nulls if nulls.any() else None
