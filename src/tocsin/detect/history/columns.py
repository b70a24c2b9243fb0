"""Which columns of stored events a condition looks at, so that no others are read."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.conditions.following import FOLLOWING
from tocsin.model.condition import (
    SOURCE,
    And,
    Condition,
    Field,
    InRecord,
    Keyword,
    Match,
    Not,
    Or,
    SameAs,
    Scope,
    field_at,
    keyword_paths,
)
from tocsin.model.schema import RECORDS

__all__ = ["paths_of", "paths_of_fields"]


def paths_of(condition: Condition, class_uid: int, *, in_record: bool = False) -> set[str]:
    """The paths of a nested table of that class that decide the condition."""
    match condition:
        case And(parts) | Or(parts):
            return set().union(*(paths_of(part, class_uid, in_record=in_record) for part in parts))
        case Not(part):
            return paths_of(part, class_uid, in_record=in_record)
        case InRecord(part):
            return {RECORDS} | paths_of(part, class_uid, in_record=True)
        case Keyword():
            return {RECORDS} if in_record else {*keyword_paths(class_uid), SOURCE}
        case Match(field, SameAs(other)):
            return {_path(field), _path(other)}
        case Match(field):
            return {_path(field)}


def paths_of_fields(full_paths: Iterable[str]) -> set[str]:
    """The paths of a nested table where these fields, named as in rules and search, have their texts."""
    return {_path(field_at(path)) for path in full_paths}


def _path(field: Field) -> str:
    if field.scope is Scope.ATTRIBUTE:
        return "activity_id" if field.path in FOLLOWING else field.path
    return SOURCE if field.scope is Scope.SOURCE else RECORDS
