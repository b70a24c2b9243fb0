"""The rows that the lake holds, as they are compared with what was signed; and the files themselves."""

from __future__ import annotations

import hashlib
import io
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tocsin.adapters.iceberg.reader import Plan, PlannedFile
from tocsin.columnar.nested import schema

__all__ = ["FileState", "StoredRows", "batch_numbers", "check_file"]

_DIGEST_DIGITS, _BATCH_DIGITS = 64, 16
_NAMING = ["metadata.uid", "metadata.processed_time", "time", "device.uid"]
_HEX = frozenset(string.hexdigits)


class FileState(msgspec.Struct, frozen=True):
    """A data file as it is now: what is wrong with it, if anything, and which rows it holds."""

    problem: str
    rows: pa.Table | None  # columns uid, processed_time, time, device; None if it cannot be read


def check_file(file: PlannedFile) -> FileState:
    """Read a file whole: is it the one that was written, and does Iceberg say the truth about its times?"""
    try:
        content = file.path.read_bytes()
    except OSError as error:
        return FileState(f"cannot be read: {error.strerror}", None)
    name = file.path.stem
    altered = len(name) == _DIGEST_DIGITS and hashlib.sha256(content).hexdigest() != name
    problem = "its bytes are not those that were written" if altered else ""
    try:
        rows = _naming(pq.ParquetFile(io.BytesIO(content)).read(columns=_NAMING))
    except Exception as error:  # noqa: BLE001 -- what is damaged fails in any way
        return FileState(problem or f"cannot be read: {type(error).__name__}", None)
    bounds = pc.min_max(rows["time"]).as_py() if len(rows) else {"min": file.first_ms, "max": file.last_ms}
    if not problem and (bounds["min"], bounds["max"]) != (file.first_ms, file.last_ms):
        problem = "its events are of other times than the lake's list of files says"
    return FileState(problem, rows)


def _naming(rows: pa.Table) -> pa.Table:
    named = {
        "uid": pc.struct_field(rows["metadata"], "uid"),
        "processed_time": pc.struct_field(rows["metadata"], "processed_time"),
        "time": rows["time"],
        "device": pc.struct_field(rows["device"], "uid"),
    }
    return pa.table(named)


def batch_numbers(uids: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint64]:
    """Of events' ids, the number of the batch that each came in; 0 for an id that names none."""
    suffixes = [_batch_digits(text) for text in pc.utf8_slice_codeunits(uids, -_BATCH_DIGITS).to_pylist()]
    return np.frombuffer(bytes.fromhex("".join(suffixes)), ">u8").astype(np.uint64)


def _batch_digits(text: str | None) -> str:
    return text if text and len(text) == _BATCH_DIGITS and _HEX.issuperset(text) else "0" * _BATCH_DIGITS


class StoredRows:
    """The rows of one org in the files of some snapshots."""

    def __init__(self, plans: Mapping[int, Plan], org: str) -> None:
        self._plans, self._org = plans, org

    def files(self) -> list[tuple[int, PlannedFile]]:
        """All files of the org, with their class."""
        return [(uid, file) for uid, plan in self._plans.items() for file in plan.files if file.org == self._org]

    def rows(self, class_uid: int, first_ms: int, last_ms: int, batches: npt.NDArray[np.uint64]) -> pa.Table:
        """The class's rows of these batches with times from first to last, in the class's nested schema.

        Files that cannot be read have none; `check_file` says so.
        """
        declared = schema(class_uid)
        plan = self._plans.get(class_uid)
        paths = plan.select(self._org, first_ms, last_ms + 1) if plan else []
        found = [rows for path in paths for rows in _of_batches(path, declared, (first_ms, last_ms), batches)]
        return pa.concat_tables([declared.empty_table(), *found])


def _of_batches(
    path: Path, declared: pa.Schema, times: tuple[int, int], batches: npt.NDArray[np.uint64]
) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                if not _overlaps(file, group, *times):
                    continue
                rows = file.read_row_group(group)
                wanted = np.isin(batch_numbers(pc.struct_field(rows["metadata"], "uid")), batches)
                if wanted.any():
                    yield _declared(rows.filter(pa.array(wanted)), declared)
    except Exception:  # noqa: BLE001 -- what is damaged fails in any way; `check_file` names it
        return


def _declared(rows: pa.Table, declared: pa.Schema) -> pa.Table:
    """With what the class has come to declare since the file was written."""
    wider = pa.concat_tables([declared.empty_table(), rows], promote_options="permissive")
    return wider.select(declared.names).cast(declared)


def _overlaps(file: pq.ParquetFile, group: int, first_ms: int, last_ms: int) -> bool:
    described = file.metadata.row_group(group)
    times = next(c for i in range(described.num_columns) if (c := described.column(i)).path_in_schema == "time")
    statistics = times.statistics
    return (
        statistics is None or not statistics.has_min_max or (statistics.min <= last_ms and statistics.max >= first_ms)
    )
