"""What a condition looks at: the texts of one field, row by row, over Arrow columns and without copying them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tocsin.columnar.records import RecordFrame
from tocsin.columnar.records import places as places_of
from tocsin.detect.evaluate.texts import attribute_text, parse_source, source_leaves, source_texts
from tocsin.model.condition import fold
from tocsin.model.event import Json

__all__ = [
    "NOTHING",
    "Cells",
    "Column",
    "Haystack",
    "Mask",
    "Originals",
    "Places",
    "RecordCells",
    "Repeated",
    "Rows",
    "TypeCells",
    "column_of",
    "haystack_of",
]

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]  # of values in a dictionary
Texts = tuple[str, ...]


class Cells(Protocol):
    """The texts of a field in each row: as they are, and without letter case."""

    def texts(self, row: int) -> Texts:
        """All texts of that row."""
        ...

    def folded(self, row: int) -> Texts:
        """The same, folded."""
        ...


class _Nothing:
    def texts(self, row: int) -> Texts:
        del row
        return ()

    folded = texts


NOTHING: Final[Cells] = _Nothing()


class Haystack(NamedTuple):
    """Folded values end to end in UTF-8, and where each starts; one more, where the last ends."""

    text: bytes
    offsets: npt.NDArray[np.int64]


def haystack_of(values: pa.StringArray) -> Haystack:
    """The values of an Arrow array, which has no nulls."""
    _, offsets, text = values.buffers()
    if not len(values) or offsets is None or text is None:
        return Haystack(b"", np.zeros(len(values) + 1, np.int64))
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    read = bytes(memoryview(text)[ends[0] : ends[-1]])
    if read.isascii():
        return Haystack(read.lower(), ends - ends[0])
    folded = [fold(value).encode() for value in values.to_pylist()]
    return Haystack(b"".join(folded), np.cumsum([0, *map(len, folded)]))


class Column:
    """Texts of a field: entry i is `values[codes[i]]`, missing if the code is -1.

    rows: the row of each entry, ascending, where a row may have several or none; else entry i is row i's.
    """

    def __init__(self, values: pa.StringArray, codes: npt.NDArray[np.int32], rows: Rows | None = None) -> None:
        self.values, self.codes, self.rows = values, codes, rows
        self._code_at: Sequence[int] = memoryview(codes)  # type: ignore[arg-type]  # numpy's arrays are buffers
        self._texts: dict[int, str] = {}
        self._folded: dict[int, str] = {}

    def texts(self, row: int) -> Texts:
        """All texts of that row."""
        if self.rows is not None:
            return tuple(text for entry in self._entries(row) for text in self._at(self._code_at[entry]))
        return self._at(self._code_at[row])

    def folded(self, row: int) -> Texts:
        """The same, folded."""
        if self.rows is not None:
            return tuple(text for entry in self._entries(row) for text in self._folded_at(self._code_at[entry]))
        return self._folded_at(self._code_at[row])

    def _entries(self, row: int) -> range:
        first, last = np.searchsorted(self.rows, (row, row + 1)).tolist()  # type: ignore[arg-type]  # there are rows
        return range(first, last)

    def _at(self, code: int) -> Texts:
        return (self.text_at(code),) if code >= 0 else ()

    def _folded_at(self, code: int) -> Texts:
        return (self.folded_at(code),) if code >= 0 else ()

    def text_at(self, code: int) -> str:
        """The value with that code."""
        known = self._texts.get(code)
        if known is None:
            known = self._texts[code] = self.values[code].as_py()
        return known

    def folded_at(self, code: int) -> str:
        """The same, folded."""
        known = self._folded.get(code)
        if known is None:
            text, offsets = self.haystack
            known = self._folded[code] = text[offsets[code] : offsets[code + 1]].decode()
        return known

    @cached_property
    def haystack(self) -> Haystack:
        """The distinct values, folded, for scanning."""
        return haystack_of(self.values)

    def rows_of_each(self, values: Mapping[int, Places]) -> dict[int, Rows]:
        """By the same keys, the rows with one of these values, ascending, each once; without those that none has."""
        if not values:
            return {}
        wanted = np.zeros(len(self.values) + 1, np.bool_)
        for places in values.values():
            wanted[places] = True
        # Few entries have any of the values, and then only these need be looked at again for each key.
        entries = np.flatnonzero(wanted[self.codes])
        codes = self.codes[entries]
        found = {}
        for key, places in values.items():
            wanted[:] = False
            wanted[places] = True
            if len(of_key := entries[wanted[codes]]):
                found[key] = of_key if self.rows is None else np.unique(self.rows[of_key])
        return found

    def present(self) -> Rows:
        """The rows that have a text."""
        return self._rows_where(self.codes >= 0)

    def _rows_where(self, mask: npt.NDArray[np.bool_]) -> Rows:
        entries: Rows = np.flatnonzero(mask)
        return entries if self.rows is None else np.unique(self.rows[entries])


def column_of(array: Any) -> Column:  # noqa: ANN401 - pyarrow has no types
    """An Arrow array of text, numbers, booleans or lists of text as a column of texts."""
    if pa.types.is_list(array.type):
        return _flat(array)
    encoded = array if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()
    values = encoded.dictionary
    if not pa.types.is_string(values.type):
        values = pa.array(
            [None if value is None else attribute_text(value) for value in values.to_pylist()], pa.string()
        )
    if values.null_count:
        return _without_null_values(values, _codes(encoded.indices))
    return Column(values, _codes(encoded.indices))


def _without_null_values(values: pa.StringArray, codes: npt.NDArray[np.int32]) -> Column:
    missing = values.is_null().to_numpy(zero_copy_only=False)
    return Column(values.fill_null(""), np.where(missing[codes] & (codes >= 0), np.int32(-1), codes))


def _flat(array: pa.ListArray) -> Column:
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    inner = column_of(array.flatten())
    return Column(inner.values, inner.codes, np.repeat(np.arange(len(array)), lengths))


def _codes(indices: Any) -> npt.NDArray[np.int32]:  # noqa: ANN401 - pyarrow has no types
    """The codes, -1 where there is none; from the array's own buffers, since small batches have many columns."""
    if not pa.types.is_int32(indices.type):
        indices = indices.cast(pa.int32())
    validity, numbers = indices.buffers()
    span = slice(indices.offset, indices.offset + len(indices))
    codes = np.frombuffer(numbers, np.int32)[span]
    if not indices.null_count:
        return codes
    valid = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[span]
    return np.where(valid, codes, np.int32(-1))


class Originals:
    """Texts at a path in JSON originals, or all their leaves; an original is parsed when a row of it is asked for."""

    def __init__(self, originals: Column, path: str | None, parsed: dict[str, Json]) -> None:
        self._originals, self._path, self._parsed = originals, path, parsed
        self._texts: dict[int, Texts] = {}

    def texts(self, row: int) -> Texts:
        """All texts of that row."""
        found = self._texts.get(row)
        if found is None:
            found = self._texts[row] = tuple(t for original in self._originals.texts(row) for t in self._of(original))
        return found

    def folded(self, row: int) -> Texts:
        """The same, folded."""
        return tuple(map(fold, self.texts(row)))

    def _of(self, original: str) -> Sequence[str]:
        if original not in self._parsed:
            self._parsed[original] = parse_source(original)
        whole = self._parsed[original]
        return source_leaves(whole) if self._path is None else list(source_texts(whole, self._path))


class Repeated:
    """An event's cells, seen from each of its records."""

    def __init__(self, cells: Cells, row_of: Sequence[int]) -> None:
        self._cells, self._row_of = cells, row_of

    def texts(self, row: int) -> Texts:
        """All texts of that record's event."""
        return self._cells.texts(self._row_of[row])

    def folded(self, row: int) -> Texts:
        """The same, folded."""
        return self._cells.folded(self._row_of[row])


class RecordCells:
    """The value of a key in each record, or without a key all its values; read from where they lie."""

    def __init__(self, records: RecordFrame, key: str | None) -> None:
        self._records, self._key = records, key
        self._place = [_place(shape, key) for shape in records.shapes]

    def texts(self, row: int) -> Texts:
        """The texts of that record."""
        records = self._records
        place = self._place[records.shape_of[row]]
        if place is None:
            return ()
        start = int(records.starts[row])
        if place < 0:
            return tuple(records.values.slice(start, int(records.starts[row + 1]) - start).to_pylist())
        return (records.values[start + place].as_py(),)

    def folded(self, row: int) -> Texts:
        """The same, folded."""
        return tuple(map(fold, self.texts(row)))


_ALL: Final = -1


def _place(shape: tuple[str, ...], key: str | None) -> int | None:
    return _ALL if key is None else places_of(shape).get(key)


class TypeCells:
    """The type of each record."""

    def __init__(self, records: RecordFrame) -> None:
        self._shape_of = records.shape_of
        self._types: list[Texts] = [(shape[0],) for shape in records.shapes]
        self._folded: list[Texts] = [(fold(shape[0]),) for shape in records.shapes]

    def texts(self, row: int) -> Texts:
        """The type."""
        return self._types[int(self._shape_of[row])]

    def folded(self, row: int) -> Texts:
        """The same, folded."""
        return self._folded[int(self._shape_of[row])]
