"""What the wire's decoder leaves to the schema: does a batch hold what its class allows?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec

from tocsin.model.errors import InvalidBatch
from tocsin.model.schema import CLASSES, Kind
from tocsin.model.wire import BatchHeader, Column, Section

__all__ = ["check"]

_INT64 = range(-(2**63), 2**63)
_TEXT = (Kind.STRING, Kind.JSON)
_skim = msgspec.json.Decoder(msgspec.Raw).decode


def check(header: BatchHeader, sections: Sequence[Section]) -> None:
    """Make sure that the columns are of their attributes' kinds, so that nothing after this can fail on a batch.

    Raises:
        InvalidBatch: rows that the header did not announce, an attribute that the class lacks, a value of another kind.
    """
    if any(section.rows < 0 for section in sections) or sum(section.rows for section in sections) != header.rows:
        raise InvalidBatch(f"the batch does not hold the {header.rows} rows that its header says")
    for section in sections:
        _check_section(section)


def _check_section(section: Section) -> None:
    kinds = _kinds(section.class_uid)
    if len({column.path for column in section.columns}) != len(section.columns):
        raise InvalidBatch("the batch names a column twice")
    for column in section.columns:
        kind = kinds.get(column.path)
        if kind is None:
            raise InvalidBatch(f"events of class {section.class_uid} have no attribute {column.path}")
        if not _fits(column, kind):
            raise InvalidBatch(f"column {column.path} holds values of another kind than the schema's")
    time = next((column for column in section.columns if column.path == "time"), None)
    if section.rows and (time is None or time.nulls.strip(b"\0") or not (time.integers or time.constant is not None)):
        raise InvalidBatch("the batch holds an event without a time")
    if section.records is not None:
        _check_text(section.records.values)


@cache
def _kinds(class_uid: int) -> dict[str, Kind]:
    return {declared.path: declared.kind for declared in CLASSES[class_uid].attributes}


def _check_text(values: bytes) -> None:
    try:
        values.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidBatch(f"the batch's records are not UTF-8: {error}") from error


def _fits(column: Column, kind: Kind) -> bool:
    dictionary, constant = column.dictionary, column.constant
    if kind in _TEXT:
        if column.integers or (constant is not None and not isinstance(constant, str)):
            return False
        return kind is Kind.STRING or all(map(_is_json, dictionary or ([] if constant is None else [constant])))
    return dictionary is None and (constant is None or _is_number(constant, kind))


def _is_number(value: object, kind: Kind) -> bool:
    if kind is Kind.BOOLEAN:
        return isinstance(value, bool) or value in (0, 1)
    return type(value) is int and value in _INT64


def _is_json(text: str) -> bool:
    try:
        _skim(text)
    except msgspec.DecodeError:
        return False
    return True
