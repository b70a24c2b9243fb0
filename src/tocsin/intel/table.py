"""The indicators of one feed as columns, in memory and as compressed blocks.

A million are 14 MB in the state and are read from it in 0.2 s of CPU; as rows of a table they were 48 MB, 4 s, and 12 s
to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.intel.indicator import Indicator, Item, Kind, Refused, Withdrawn
from tocsin.intel.keys import indicator_keys

__all__ = ["SCHEMA", "Reading", "blocks", "empty", "gather", "kinds_of", "merge", "table_of", "with_hidden"]

_NAME: Final = pa.dictionary(pa.int32(), pa.string())
SCHEMA: Final = pa.schema(
    [
        ("kind", pa.dictionary(pa.int8(), pa.string())),
        ("value", pa.string()),
        ("confidence", pa.uint8()),
        ("first_seen", pa.uint32()),  # when the feed first listed it, as far as was seen here; s
        ("valid_from", pa.uint32()),  # s, 0 is none
        ("valid_until", pa.uint32()),
        ("tags", _NAME),  # one a line
        ("source", pa.string()),
        ("hidden", _NAME),  # the warning list that hides it
    ]
)
_ROWS: Final = 65_536  # gathered at a time
_ROWS_IN_BLOCK: Final = 262_144


class Reading(msgspec.Struct, frozen=True):
    """What came of reading a feed once."""

    rows: pa.Table
    refused: int
    reasons: tuple[Refused, ...]  # the first of them
    withdrawn: frozenset[str]  # objects whose earlier indicators are gone


def gather(items: Iterable[Item], seen_at: int, keep_reasons: int = 1_000, most: int = 5_000_000) -> Reading:
    """Indicators as columns, each value once, with the greatest confidence that the feed gives it.

    Raises:
        ValueError: there are more than `most`.
    """
    gathering = _Gathering(seen_at)
    refused, reasons, withdrawn = 0, list[Refused](), set[str]()
    for item in items:
        if isinstance(item, Indicator):
            gathering.add(item)
            if gathering.rows > most:
                raise ValueError(f"more than {most:,} indicators are too many for one feed")
        elif isinstance(item, Withdrawn):
            withdrawn.add(item.source)
        else:
            refused += 1
            reasons += [item] if refused <= keep_reasons else []
    return Reading(_once(gathering.table()), refused, tuple(reasons), frozenset(withdrawn))


class _Gathering:
    """Indicators on their way into columns, some at a time."""

    def __init__(self, seen_at: int) -> None:
        self.rows = 0
        self._seen_at = seen_at
        self._waiting: list[Indicator] = []
        self._batches: list[pa.RecordBatch] = []

    def add(self, item: Indicator) -> None:
        self.rows += 1
        self._waiting.append(item)
        if len(self._waiting) == _ROWS:
            self._flush()

    def table(self) -> pa.Table:
        self._flush()
        return pa.Table.from_batches(self._batches, SCHEMA).unify_dictionaries().combine_chunks()

    def _flush(self) -> None:
        items, self._waiting = self._waiting, []
        columns = {
            "kind": [item.kind.value for item in items],
            "value": [item.value for item in items],
            "confidence": [item.confidence for item in items],
            "first_seen": [self._seen_at] * len(items),
            "valid_from": [item.valid_from for item in items],
            "valid_until": [item.valid_until for item in items],
            "tags": ["\n".join(item.tags) or None for item in items],
            "source": [item.source or None for item in items],
            "hidden": [None] * len(items),
        }
        arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
        self._batches.append(pa.record_batch(arrays, schema=SCHEMA))


def _once(rows: pa.Table) -> pa.Table:
    """Each value once: the most confident of its rows."""
    keys = indicator_keys(rows)
    confidence = rows["confidence"].fill_null(0).to_numpy().astype(np.int16)
    order = np.lexsort((-confidence, keys))
    first = np.ones(len(order), np.bool_)
    first[1:] = np.diff(keys[order]) != 0
    kept = np.sort(order[first])
    return rows if len(kept) == rows.num_rows else rows.take(pa.array(kept))


def empty() -> pa.Table:
    """No indicators."""
    return SCHEMA.empty_table()


def merge(old: pa.Table, reading: Reading, *, keep_old: bool) -> tuple[pa.Table, int]:
    """What the feed lists after a reading, and how many of these it did not list before.

    When an indicator was first seen is kept. What the reading does not have stays only if the feed sends changes
    (`keep_old`), unless its object came again or was withdrawn.
    """
    places = {key: at for at, key in enumerate(indicator_keys(old).tolist())}
    before = np.array([places.get(key, -1) for key in indicator_keys(reading.rows).tolist()], np.int64)
    known = before >= 0
    seen = reading.rows["first_seen"].to_numpy().copy()
    seen[known] = old["first_seen"].to_numpy()[before[known]]
    at = SCHEMA.get_field_index("first_seen")
    rows = reading.rows.set_column(at, SCHEMA.field(at), pa.array(seen, pa.uint32()))
    if keep_old and old.num_rows:
        gone = pc.is_in(old["source"], pa.array(sorted(reading.withdrawn), pa.string())).to_numpy(zero_copy_only=False)
        gone[before[known]] = True
        rows = pa.concat_tables([old.filter(pa.array(~gone)), rows]).unify_dictionaries().combine_chunks()
    return rows, int(np.count_nonzero(~known))


def with_hidden(rows: pa.Table, hidden: Sequence[str | None]) -> pa.Table:
    """The rows, each with the warning list that hides it."""
    at = SCHEMA.get_field_index("hidden")
    return rows.set_column(at, SCHEMA.field(at), pa.array(hidden, pa.string()).cast(_NAME))


def kinds_of(rows: pa.Table) -> dict[str, int]:
    """How many of each kind there are."""
    counted = {each["values"]: each["counts"] for each in pc.value_counts(rows["kind"].cast(pa.string())).to_pylist()}
    return {kind.value: counted[kind.value] for kind in Kind if kind.value in counted}


def blocks(rows: pa.Table) -> Iterator[bytes]:
    """The rows as Arrow streams, zstd-compressed."""
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    for start in range(0, rows.num_rows, _ROWS_IN_BLOCK):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA, options=options) as writer:
            writer.write_table(rows.slice(start, _ROWS_IN_BLOCK).combine_chunks())
        yield sink.getvalue().to_pybytes()


def table_of(parts: Iterable[bytes]) -> pa.Table:
    """The rows of all blocks, in one piece."""
    tables = [pa.ipc.open_stream(part).read_all() for part in parts]
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks() if tables else empty()
