"""Search all values of all records for keywords, in one scan and without building their columns."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.columnar.records import RecordFrame
from tocsin.detect.evaluate.value_index import ValueIndex
from tocsin.model.condition import fold

__all__ = ["RecordSearch"]

_Places = npt.NDArray[np.int64]


class RecordSearch:
    """Where the literals of an index's tests occur in the values of records."""

    def __init__(self, records: RecordFrame, index: ValueIndex) -> None:
        self._records, self._index = records, index
        _, offsets, text = records.values.buffers()
        first = records.values.offset
        self._ends: Final[_Places] = np.frombuffer(offsets, np.int32)[first : first + len(records.values) + 1].astype(
            np.int64
        )
        self._text: Final = bytes(text)[: int(self._ends[-1])] if text is not None else b""
        self._tests: dict[int, npt.NDArray[np.bool_]] = {}

    def mask(self, test: int) -> npt.NDArray[np.bool_]:
        """The records of which some value passes the test, which must be one that the index scans for."""
        if test not in self._tests:
            self._tests[test] = self._mask(test)
        return self._tests[test]

    def _mask(self, test: int) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(self._records), np.bool_)
        literal, judged = self._index.scanned[test]
        values = np.unique(self._hits.get(literal, np.zeros(0, np.int64)))
        if judged is not None:
            texts = [self._records.values[int(at)].as_py() for at in values]
            values = values[np.array([judged(text) for text in texts], np.bool_)]
        found[np.searchsorted(self._records.starts, values, side="right") - 1] = True
        return found

    @cached_property
    def _hits(self) -> dict[int, _Places]:
        """By literal, the values that hold it."""
        text = self._text.decode("utf-8")
        hits = np.array(self._index.find(fold(text)), np.int64).reshape(-1, 3)
        places = hits[:, 1:] if text.isascii() else self._bytes_of_characters()[hits[:, 1:]]
        at = np.searchsorted(self._ends, places[:, 0], side="right") - 1
        # The values lie end to end: what runs over an end is no occurrence.
        within = (at >= 0) & (places[:, 1] <= self._ends[np.minimum(at + 1, len(self._ends) - 1)])
        literals, at = hits[within, 0], at[within]
        order = np.argsort(literals, kind="stable")
        distinct, first = np.unique(literals[order], return_index=True)
        return dict(zip(distinct.tolist(), np.split(at[order], first[1:]), strict=True)) if len(distinct) else {}

    def _bytes_of_characters(self) -> _Places:
        """Where each character starts in the UTF-8 text, and where the last one ends."""
        read = np.frombuffer(self._text, np.uint8)
        return np.append(np.flatnonzero((read & 0xC0) != 0x80), len(read))  # noqa: PLR2004 - continuation bytes
