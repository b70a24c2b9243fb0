"""All keys that a set of rules looks for, each where it may be found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np

from tocsin.conditions.following import FOLLOWING
from tocsin.detect.evaluate.key import Key
from tocsin.detect.evaluate.scan import FieldScan, Found, SearchScan
from tocsin.detect.evaluate.scan_json import JsonScan
from tocsin.detect.evaluate.scan_records import RecordScan
from tocsin.detect.evaluate.view import EventView
from tocsin.model.condition import SOURCE, Scope

__all__ = ["Sought"]

_Keys = dict[int, Key]
_Scan = TypeVar("_Scan", FieldScan, JsonScan, RecordScan, SearchScan)
Scans = dict[tuple[object, str], tuple[_Keys, object]]


class Sought:
    """Keys by their numbers, ready to be looked for in frames; what was `built` before and fits is used again."""

    def __init__(self, keys: Mapping[int, Key], known: Scans | None = None) -> None:
        self.built: Final[Scans] = {}
        known = known or {}
        by_path: dict[str, _Keys] = {}
        originals, records, keywords = _Keys(), _Keys(), _Keys()
        for at, key in keys.items():
            if key.in_record or (key.field is not None and key.field.scope is Scope.RECORD):
                records[at] = key
            elif key.field is None:
                keywords[at] = key
            else:
                by_path.setdefault(key.field.full_path, {})[at] = key
                if key.field.scope is Scope.SOURCE:
                    originals[at] = key
        self._fields = {path: self._scan(FieldScan, path, of_path, known) for path, of_path in by_path.items()}
        self._following = [path for path in FOLLOWING if path in self._fields]
        self._records = self._scan(RecordScan, "", records, known)
        self._originals = self._scan(JsonScan, "", originals, known)
        self._keywords = self._scan(SearchScan, "", keywords, known)
        self._keywords_in_originals = self._scan(JsonScan, "keywords", keywords, known)

    def _scan(self, of: type[_Scan], name: str, keys: _Keys, known: Scans) -> _Scan:
        before, scan = known.get((of, name), (None, None))
        if before != keys or not isinstance(scan, of):
            scan = of(keys)
        self.built[of, name] = (keys, scan)
        return scan

    def find(self, view: EventView) -> Found:
        """The rows that have each key; keys that no row has are left out."""
        found: Found = {}
        for path in (*view.frame.table.column_names, *self._following):
            if path in self._fields:
                found |= self._fields[path].find(view.column(path))
        if self._keywords:
            found |= self._keywords.find([view.column(path) for path in view.searched_paths()])
        if SOURCE in view.paths:
            if not view.taken_out:
                found |= self._originals.find(view.column(SOURCE))
            _unite(found, self._keywords_in_originals.find(view.column(SOURCE)))
        if view.records is not None and self._records:
            found |= self._records.find(view.records.frame)
        return found


def _unite(found: Found, more: Found) -> None:
    for at, rows in more.items():
        found[at] = np.union1d(found[at], rows) if at in found else rows
