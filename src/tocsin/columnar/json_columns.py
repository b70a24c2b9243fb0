"""JSON objects, one a line, as columns of the paths that somebody asks for, in the events' own terms.

A decoder is made for the keys that have been seen: what nobody asks for is skipped, not read. A line with a key that
is new is read whole, and the decoder is made anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import astuple

from tocsin.columnar.frame import Frame
from tocsin.columnar.json_lines import Lines, stripped
from tocsin.model.condition import SOURCE
from tocsin.model.event import Json, RefusedLine

__all__ = ["JsonColumns", "texts_at"]

_MOST_KEYS: Final = 400  # of more, objects have keys that are no names, and a decoder of their own would not pay
_UNFIT: Final = re.compile(r'[\\"\x00-\x1f]')  # what msgspec lets no field's name have
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

Event = Any  # a struct made for the keys that have been seen


class JsonColumns:
    """Turns lines into frames of class 0 with a column `unmapped.source.<path>` for each of the paths that occurs.

    whole: keep the lines as well, as `unmapped.source`, since keywords are searched in all of it.
    """

    def __init__(self, paths: Iterable[str], *, whole: bool) -> None:
        self._whole = whole
        self._paths: dict[str, list[str]] = {}  # by the first key that may lead to them
        for path in paths:
            for first in _first_keys(path):
                self._paths.setdefault(first, []).append(path)
        self._known: dict[str, None] = {}
        self._fit([])

    def _fit(self, keys: Iterable[str]) -> None:
        """Make the decoder for all keys so far."""
        self._known |= dict.fromkeys(keys)
        self._asked = [key for key in self._known if key in self._paths]
        fields = [(_name(at), Any if key in self._paths else msgspec.Raw, None) for at, key in enumerate(self._known)]
        names = {_name(at): key for at, key in enumerate(self._known)}
        event = msgspec.defstruct("Event", fields, rename=names, forbid_unknown_fields=True, gc=False)
        self._decoder = msgspec.json.Decoder(event)

    def frame(self, lines: Sequence[bytes]) -> tuple[Frame, list[int], list[RefusedLine]]:
        """The frame, for each of its rows which of the lines it is, and the lines that are no JSON object.

        Lines are counted from 0; blank ones are left out.
        """
        kept, numbers = stripped(lines)
        refused: list[RefusedLine] = []
        read = Lines.of(kept)
        events = self._decoded(read)
        if events is None:
            good, refused = self._look_at(kept, numbers)
            kept, numbers = [kept[at] for at in good], [numbers[at] for at in good]
            read = Lines.of(kept)
            events = self._decoded(read)
        columns = self._slowly(kept) if events is None else self._columns(events)
        arrays = {f"{SOURCE}.{path}": array for path, array in columns}
        if self._whole and read is not None:
            arrays[SOURCE] = read.array()
        if not arrays:
            arrays["time"] = pa.nulls(len(kept), pa.int64())
        return Frame(0, pa.table(arrays)), list(numbers), refused

    def _decoded(self, read: Lines | None) -> list[Event] | None:
        """The events; None if some line is not as the decoder knows them."""
        if read is None:
            return None
        try:
            events = self._decoder.decode_lines(read.text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        # A line may hold several objects.
        return events if len(events) == len(read.lines) else None

    def _look_at(self, lines: Sequence[bytes], numbers: Sequence[int]) -> tuple[list[int], list[RefusedLine]]:
        """Learn the keys of lines that were not understood; which of the lines are events, and which are not."""
        good, refused = [], []
        keys: dict[str, None] = {}
        for at, (number, line) in enumerate(zip(numbers, lines, strict=True)):
            try:
                line.decode()
                keys |= dict.fromkeys(_decode_object(line))
                good.append(at)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                refused.append(RefusedLine(number, f"no JSON object: {error}", line))
        # Objects with keys that no decoder can be made for are read through dicts.
        fitting = {key: None for key in keys if not _UNFIT.search(key)}
        if len(self._known | fitting) <= _MOST_KEYS:
            self._fit(fitting)
        return good, refused

    def _columns(self, events: Sequence[Event]) -> Iterator[tuple[str, pa.Array]]:
        if not self._asked or not events:
            return
        # All values as they lie: cheaper than by name those that are asked for.
        columns = zip(*map(astuple, events), strict=True)
        asked = {key: values for key, values in zip(self._known, columns, strict=True) if key in self._paths}
        yield from self._of_paths(asked)

    def _slowly(self, lines: Sequence[bytes]) -> Iterator[tuple[str, pa.Array]]:
        """The same through dicts, for objects with too many keys."""
        objects = [_decode_object(line) for line in lines]
        present = {key for each in objects for key in each} & self._paths.keys()
        yield from self._of_paths({key: [each.get(key) for each in objects] for key in sorted(present)})

    def _of_paths(self, columns: Mapping[str, Sequence[Json]]) -> Iterator[tuple[str, pa.Array]]:
        for path in dict.fromkeys(path for key in columns for path in self._paths[key]):
            leading = [key for key in _first_keys(path) if key in columns]
            values = columns[leading[0]]
            if leading == [path] and (array := _plain(values)) is not None:
                if array.null_count < len(array):
                    yield path, array
                continue
            objects = (
                {key: value for key, value in zip(leading, row, strict=True) if value is not None}
                for row in zip(*(columns[key] for key in leading), strict=True)
            )
            texts = [list(texts_at(each, path)) for each in objects]
            if any(texts):
                yield path, _listed(texts)


def _name(at: int) -> str:
    return f"k{at}"


def _first_keys(path: str) -> list[str]:
    """The keys of an object that may lead to a path: `a`, `a.b` and `a.b.c` to `a.b.c`."""
    parts = path.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _plain(values: Sequence[Json]) -> pa.Array | None:
    """Simple values as an array; None if some are lists or objects."""
    try:
        return pa.array(values, pa.string()).dictionary_encode()
    except pa.ArrowTypeError:
        kinds = set(map(type, values)) - {type(None)}
    if kinds == {bool}:
        return pa.array(values, pa.bool_()).dictionary_encode()
    if kinds == {int}:
        with suppress(pa.ArrowInvalid, OverflowError):  # too large for 64 bits
            return pa.array(values, pa.int64()).dictionary_encode()
    if kinds <= {str, int, bool, float}:
        return pa.array([None if value is None else _text(value) for value in values], pa.string()).dictionary_encode()
    return None


def _listed(texts: Sequence[Sequence[str]]) -> pa.ListArray:
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(chain.from_iterable(texts), pa.string()))


def texts_at(value: Json, path: str) -> Iterator[str]:
    """The texts at a path; keys may have dots in them, lists are gone through, lists in lists are not."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield from texts_at(item, path)
    elif isinstance(value, dict):
        for key in _first_keys(path):
            if key in value:
                yield from _ends(value[key]) if key == path else texts_at(value[key], path[len(key) + 1 :])


def _ends(value: Json) -> Iterator[str]:
    for item in value if isinstance(value, list) else (value,):
        if item is not None:
            yield _text(item)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else _encode(value).decode()
