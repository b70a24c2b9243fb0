"""The texts that a field has in one event; what the condition tree's leaves look at."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from tocsin.conditions.following import FOLLOWING, following_text
from tocsin.model.condition import SOURCE, Field, Scope, keyword_paths
from tocsin.model.event import DEFAULTS, Event, Json, Record, Value

__all__ = ["attribute_text", "keyword_texts", "record_fields", "source_leaves", "source_texts", "texts"]

TYPE: Final = "type"
_decode = msgspec.json.Decoder(Any).decode


def attribute_text(value: Value) -> str:
    """A value as text: decimal digits, `true` or `false`, or itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def texts(event: Event, field: Field, record: dict[str, str] | None) -> list[str]:
    """The texts of a field in the event; of a record's field in that record."""
    if field.scope is Scope.RECORD:
        return [record[field.path]] if record is not None and field.path in record else []
    if field.scope is Scope.SOURCE:
        return list(source_texts(_source(event), field.path))
    value = _attribute(event, field.path)
    return [] if value is None else [attribute_text(value)]


def record_fields(record: Record) -> dict[str, str]:
    """A record's fields by key, `type` among them; a key that comes twice has its second value under `key#2`."""
    fields = {TYPE: record.type}
    for key, value in zip(record.keys, record.values, strict=True):
        fields[key if key not in fields else f"{key}#2"] = value
    return fields


def keyword_texts(event: Event) -> Iterator[tuple[str, str]]:
    """Full path and text of everything that keywords outside records are searched in."""
    for path in keyword_paths(event.class_uid):
        value = _attribute(event, path)
        if value is not None:
            yield path, attribute_text(value)
    for text in source_leaves(_source(event)):
        yield SOURCE, text


def _attribute(event: Event, path: str) -> Value | None:
    value = event.values.get(path, event.shared.get(path))
    if value is not None:
        return value
    if path in FOLLOWING:
        return following_text(path, event.class_uid, int(_attribute(event, "activity_id") or 0))
    return DEFAULTS.get(path)


def _source(event: Event) -> Json:
    original = _attribute(event, SOURCE)
    return parse_source(str(original)) if original is not None else None


@lru_cache(maxsize=16)
def parse_source(original: str) -> Json:
    """The original of an event, or nothing if it is not JSON."""
    try:
        return cast(Json, _decode(original))
    except msgspec.MsgspecError:
        return None


def source_texts(value: Json, path: str) -> Iterator[str]:
    """The texts at a path in an original; lists on the way and at its end are gone through, lists in lists are not."""
    found = [value]
    for key in path.split("."):
        inner = [each.get(key) for each in found if isinstance(each, dict)]
        found = [item for each in inner for item in (each if isinstance(each, list) else (each,))]
    return (_text(each) for each in found if each is not None)


def source_leaves(value: Json) -> list[str]:
    """Every text in an original, however deep, without the keys."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return [text for item in inner for text in ([item] if type(item) is str else source_leaves(item))]
    return [] if value is None else [_text(value)]


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else msgspec.json.encode(value).decode()
