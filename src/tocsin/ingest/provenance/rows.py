"""Rows as the lake holds them beside rows as the signed batches give them: every attribute of every row.

Only leaves are compared: whether a struct of which nothing is known is null depends on the other rows that were
written with it, and on the files that were merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Difference", "compare"]

_LIST = "[]"
_MOST_NAMED = 1_000  # differences of one comparison that are named one by one


class Difference(msgspec.Struct, frozen=True):
    """A row that is not as signed: which attribute differs, or that it is missing, or there once too often."""

    uid: str
    attribute: str = ""
    missing: bool = False
    surplus: bool = False


def compare(signed: pa.Table, stored: pa.Table) -> list[Difference]:
    """What differs between two tables of one class's nested schema, in whatever order their rows are."""
    signed, stored = _by_uid(signed), _by_uid(stored)
    signed_uids, stored_uids = _uids(signed), _uids(stored)
    if signed_uids.equals(stored_uids):
        return list(_differing(signed, stored, signed_uids))
    found = [Difference(uid, missing=True) for uid in _without(signed_uids, stored_uids)]
    found += [Difference(uid, surplus=True) for uid in [*_without(stored_uids, signed_uids), *_twice(stored_uids)]]
    twice = pc.is_in(stored_uids, pa.array(_twice(stored_uids), pa.string()))
    stored = stored.filter(pc.and_not(pc.is_in(stored_uids, signed_uids), twice))
    signed = signed.filter(pc.is_in(signed_uids, _uids(stored)))
    return found + list(_differing(signed, stored, _uids(signed)))


def _uids(rows: pa.Table) -> pa.Array:
    return pc.struct_field(rows["metadata"], "uid").combine_chunks()


def _by_uid(rows: pa.Table) -> pa.Table:
    return rows.take(pc.sort_indices(_uids(rows))).combine_chunks()


def _without(these: pa.Array, others: pa.Array) -> list[str]:
    found: list[str] = these.filter(pc.invert(pc.is_in(these, others)))[:_MOST_NAMED].to_pylist()
    return found


def _twice(uids: pa.Array) -> list[str]:
    counts = pc.value_counts(uids)
    found: list[str] = counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    return found


def _differing(signed: pa.Table, stored: pa.Table, uids: pa.Array) -> Iterator[Difference]:
    for name in signed.column_names:
        ours, theirs = _leaves(signed[name], name), _leaves(stored[name], name)
        differing = [path for path, leaf in ours.items() if not leaf.equals(theirs[path])]
        for path in differing:
            if _LIST not in path:
                yield from _rows_that_differ(path, ours[path], theirs[path], uids)
        if any(_LIST in path for path in differing):
            yield from _lists_that_differ(name, signed[name], stored[name], uids)


def _leaves(column: pa.ChunkedArray, path: str) -> dict[str, pa.Array]:
    whole = column.combine_chunks()
    return dict(_descend(whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole, path))


def _descend(array: pa.Array, path: str) -> Iterator[tuple[str, pa.Array]]:
    type_ = array.type
    if pa.types.is_map(type_):
        array = array.cast(pa.list_(pa.struct([("key", type_.key_type), ("value", type_.item_type)])))
    if pa.types.is_struct(type_):
        for field, inner in zip(type_, array.flatten(), strict=True):
            yield from _descend(inner, f"{path}.{field.name}")
    elif pa.types.is_list(array.type):
        # A list that is null is as good as an empty one.
        yield f"{path}{_LIST}", pc.fill_null(pc.list_value_length(array), 0)
        yield from _descend(pc.list_flatten(array), f"{path}{_LIST}")
    else:
        yield path, array


def _rows_that_differ(path: str, ours: pa.Array, theirs: pa.Array, uids: pa.Array) -> Iterator[Difference]:
    differ = pc.fill_null(pc.not_equal(ours, theirs), fill_value=False)
    differ = pc.or_(differ, pc.xor(pc.is_null(ours), pc.is_null(theirs)))
    for uid in uids.filter(differ)[:_MOST_NAMED].to_pylist():
        yield Difference(uid, path)


def _lists_that_differ(
    name: str, signed: pa.ChunkedArray, stored: pa.ChunkedArray, uids: pa.Array
) -> Iterator[Difference]:
    """The slow way, one row after another; only where something differs."""
    pairs = zip(uids.to_pylist(), signed.to_pylist(), stored.to_pylist(), strict=True)
    for uid, ours, theirs in pairs:
        for path in _paths_that_differ(ours, theirs, name):
            yield Difference(uid, path)


def _paths_that_differ(ours: Any, theirs: Any, path: str) -> Iterator[str]:  # noqa: ANN401 -- whatever a row holds
    if isinstance(ours, dict) or isinstance(theirs, dict):
        for key in {**(ours or {}), **(theirs or {})}:
            yield from _paths_that_differ((ours or {}).get(key), (theirs or {}).get(key), f"{path}.{key}")
    elif (isinstance(ours, list) or isinstance(theirs, list)) and (ours or []) != (theirs or []):
        yield path
