"""Which three-byte sequences the texts of some rows hold: enough to know that most texts are not among them.

A set of bits, one for each pair of path and sequence by its hash: a bit that is unset proves that no row has the
sequence there, a bit that is set proves nothing. Texts are folded and stand between two NULs, so that their beginnings
and ends are sequences too. A record's key is a path of its own.
"""

from __future__ import annotations

import base64
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.columnar.flat import column_at, has_path
from tocsin.model.condition import fold
from tocsin.model.schema import CLASSES, RECORDS, Kind

__all__ = [
    "ALWAYS",
    "IN_RECORDS",
    "LENGTH",
    "bits_of",
    "grams_in",
    "metadata_of",
    "place",
    "place_of_unplain",
    "places",
    "present",
    "record_path",
    "sets_of",
    "text_paths",
]

# Texts are folded by the interpreter's tables: what another one folded is of no use.
_NAME: Final = f"tocsin.grams.2-{unicodedata.unidata_version}"
Bits = npt.NDArray[np.bool_]
Places = npt.NDArray[np.uint32]

LENGTH: Final = 3
IN_RECORDS: Final = f"{RECORDS}.*"  # the path of all that stands in records, types too
_ALWAYS_NEW: Final = "metadata.uid"
_MULTIPLIER: Final = np.uint32(0x9E3779B1)
_PRESENT: Final = np.array([1 << 24], np.uint32) * _MULTIPLIER  # above every sequence: the path has a text
_UNPLAIN: Final = np.array([1 << 25], np.uint32) * _MULTIPLIER  # and one that may be a number in an odd spelling
_ZERO, _NINE, _MINUS, _POINT = b"09-."
_LARGEST_LOG2: Final = 18
_SMALLEST_LOG2: Final = 13
_FULL: Final = 0.2  # so many of the bits at most are set, if the largest size allows
_BLOCK: Final = 1 << 16  # bytes; what is computed of them stays in the processor's cache


def record_path(key: str) -> str:
    """The path that a record's key has here; its type is the key `type`."""
    return f"{RECORDS}.{key}"


@cache
def text_paths(class_uid: int) -> frozenset[str]:
    """The attributes of the class that are looked at: all texts but the event's id."""
    texts = {a.path for a in CLASSES[class_uid].attributes if a.kind in {Kind.STRING, Kind.JSON}}
    return frozenset(texts - {_ALWAYS_NEW})


def grams_in(rows: pa.Table) -> bytes:
    """The set of some rows in the nested form, as bytes; its size follows from what it holds."""
    bits = np.zeros(1 << _LARGEST_LOG2, np.bool_)
    bits[_at(np.array([ALWAYS], np.uint32), _LARGEST_LOG2)] = True
    for values, *seeds in _texts(rows):
        if len(values):
            bits[_at(np.unique(np.concatenate(seeds)) + _PRESENT, _LARGEST_LOG2)] = True
            _mark(bits, values, seeds)
    while len(bits) > 1 << _SMALLEST_LOG2 and np.count_nonzero(bits) < len(bits) / 2 * _FULL:
        bits = bits[::2] | bits[1::2]
    return np.packbits(bits).tobytes()


def metadata_of(sets: Sequence[bytes]) -> dict[str, str]:
    """The sets of a file's row groups as what Parquet's footer takes: text by name."""
    return {_NAME: base64.b64encode(zlib.compress(msgspec.msgpack.encode(sets), 1)).decode()}


def sets_of(metadata: Mapping[bytes, bytes] | None) -> list[bytes]:
    """What `metadata_of` made; empty if the file has none, or of another version."""
    found = (metadata or {}).get(_NAME.encode())
    return [] if found is None else msgspec.msgpack.decode(zlib.decompress(base64.b64decode(found)), type=list[bytes])


def bits_of(grams: bytes) -> Bits:
    """The set, to be looked into with `present`."""
    return np.unpackbits(np.frombuffer(grams, np.uint8)).astype(np.bool_)


def present(bits: Bits, wanted: Places) -> npt.NDArray[np.bool_]:
    """Which of the places are set."""
    found: npt.NDArray[np.bool_] = bits[_at(wanted, len(bits).bit_length() - 1)]
    return found


def places(path: str, text: bytes) -> Places:
    """The places of all sequences in a folded text at a path; a NUL at its end or beginning is that of the value."""
    return _hashed(np.frombuffer(text, np.uint8)) + np.uint32(_seed(path))


def place(path: str) -> int:
    """The place that says whether the path has any text."""
    return int((_PRESENT + np.uint32(_seed(path)))[0])


def place_of_unplain(path: str) -> int:
    """The place that says whether the path has a text that may be a number, and is not in its plainest spelling."""
    return int((_UNPLAIN + np.uint32(_seed(path)))[0])


def _texts(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Texts, and of which path each is; of a record's values, they are of two."""
    for path in _text_leaves(rows.schema):
        values = _distinct(column_at(rows, path))
        yield values, np.full(len(values), _seed(path), np.uint32)
    if has_path(rows.schema, RECORDS):
        records = column_at(rows, RECORDS).flatten()
        types = _distinct(pc.struct_field(records, ["type"]))
        yield types, *(np.full(len(types), _seed(path), np.uint32) for path in (record_path("type"), IN_RECORDS))
        values, seeds = _record_values(pc.struct_field(records, ["fields"]))
        yield values, seeds, np.full(len(values), _seed(IN_RECORDS), np.uint32)


def _text_leaves(fields: Iterable[pa.Field], prefix: str = "") -> Iterator[str]:
    for field in fields:
        path, type_ = f"{prefix}{field.name}", field.type
        if pa.types.is_struct(type_):
            yield from _text_leaves(type_, f"{path}.")
        elif (pa.types.is_string(type_) or pa.types.is_dictionary(type_)) and path != _ALWAYS_NEW:
            yield path


def _record_values(fields: pa.MapArray) -> tuple[pa.StringArray, Places]:
    first, last = (fields.offsets[at].as_py() for at in (0, -1))
    keys, values = (each.slice(first, last - first) for each in (fields.keys, fields.items))
    if not isinstance(keys, pa.DictionaryArray):
        keys = keys.dictionary_encode()
    seeds = np.array([_seed(record_path(name)) for name in keys.dictionary.to_pylist()], np.uint32)
    return values.fill_null(""), seeds[keys.indices.to_numpy()] if len(values) else seeds


def _distinct(column: pa.Array) -> pa.StringArray:
    if isinstance(column, pa.DictionaryArray):
        return column.dictionary.take(pc.unique(column.indices).drop_null())
    return pc.unique(column).drop_null()


def _mark(bits: Bits, values: pa.StringArray, seeds: Sequence[Places]) -> None:
    """Set the bits of all sequences in the texts, at each of their paths."""
    joined, lengths = _joined(values)
    unplain = _unplain(joined, lengths)
    # A sequence belongs to the text in which it begins; those that begin with a NUL, to the text behind it.
    of_bytes = [np.repeat(of_path, lengths + 1) for of_path in seeds]
    for start in range(0, len(joined), _BLOCK):
        grams = _hashed(joined[start : start + _BLOCK + LENGTH - 1])
        for of_byte in of_bytes:
            bits[_at(grams + of_byte[start : start + len(grams)], _LARGEST_LOG2)] = True
    for of_byte in of_bytes:
        bits[_at(np.unique(of_byte[unplain]) + _UNPLAIN, _LARGEST_LOG2)] = True


def _unplain(joined: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where texts begin with 00, 01, ... or -0, or have a point between digits."""
    starts = np.cumsum(lengths + 1)[:-1] if len(lengths) else lengths
    starts = np.concatenate(([0], starts))
    first, second = joined[starts + 1], joined[np.minimum(starts + 2, len(joined) - 1)]
    signed = ((first == _ZERO) & _is_digit(second)) | ((first == _MINUS) & (second == _ZERO))
    points = np.flatnonzero(joined[1:-1] == _POINT) + 1
    fractions = points[_is_digit(joined[points - 1]) & _is_digit(joined[points + 1])]
    return np.concatenate((starts[signed], fractions))


def _is_digit(text: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    digits: npt.NDArray[np.bool_] = (text >= _ZERO) & (text <= _NINE)
    return digits


def _joined(values: pa.StringArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """A NUL, and then each folded text with a NUL behind it; and the length of each text in bytes."""
    ends = pa.array([0, len(values)], pa.int32())
    text = b"\0" + pc.binary_join(pa.ListArray.from_arrays(ends, values), "\0")[0].as_py().encode() + b"\0"
    if not text.isascii():
        folded = [fold(value).encode() for value in values.to_pylist()]
        return np.frombuffer(b"\0" + b"".join(each + b"\0" for each in folded), np.uint8), _lengths(folded)
    return np.frombuffer(text.lower(), np.uint8), pc.binary_length(values).to_numpy().astype(np.int64)


def _lengths(texts: Sequence[bytes]) -> npt.NDArray[np.int64]:
    return np.array(list(map(len, texts)), np.int64)


def _hashed(text: npt.NDArray[np.uint8]) -> Places:
    """All sequences of a text in order, as what is added to the seed of a path."""
    wide = text.astype(np.uint32)
    gram: Places = wide[:-2] << np.uint32(16)
    gram |= wide[1:-1] << np.uint32(8)
    gram |= wide[2:]
    gram *= _MULTIPLIER
    return gram


def _at(hashes: Places, log2: int) -> Places:
    found: Places = hashes >> np.uint32(32 - log2)
    return found


@cache
def _seed(path: str) -> int:
    return zlib.crc32(path.encode())


ALWAYS: Final = place("")
