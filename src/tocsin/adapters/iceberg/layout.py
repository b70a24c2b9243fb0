"""How rows lie in files: one file per org and day, named by the SHA-256 of its content, in it the rows by time.

By time, since most questions are about a span of it, and the newest rows of all then lie together; by device and
time costs as many bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from tocsin.adapters.iceberg.storage import local_path, sync_folder, write_parquet
from tocsin.adapters.iceberg.tables import DAY_MS

__all__ = ["write_files"]


def write_files(table: Table, rows: pa.Table) -> list[DataFile]:
    """Write rows of the nested schema to synced files, ready to be committed; a failure leaves none behind."""
    files = []
    with _removed_on_failure() as written:
        for part, org, day in _parts(rows):
            folder = f"org-{quote(org, safe='')}/{np.datetime64(day, 'D')}"
            draft = local_path(table.location()) / "data" / folder / f"{uuid.uuid4().hex}.draft"
            written.append(draft)
            path = _named_by_content(draft, write_parquet(part, draft))
            written.append(path)
            file = parquet_file_to_data_file(table.io, table.metadata, f"file://{path}")
            # pyiceberg 0.12 reads no statistics of nested columns, and would take the org for null.
            file.partition[0] = org
            files.append(file)
    return files


def _named_by_content(draft: Path, digest: str) -> Path:
    """Nobody can change a byte of the file, and leave it the file that Iceberg names."""
    path = draft.with_name(f"{digest}.parquet")
    draft.replace(path)
    sync_folder(path.parent)
    return path


@contextmanager
def _removed_on_failure() -> Iterator[list[Path]]:
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _parts(rows: pa.Table) -> Iterator[tuple[pa.Table, str, int]]:
    """The rows of each org and day, in order; with the org and the number of the day."""
    time = rows["time"].to_numpy()
    org = _codes(rows, "metadata", "tenant_uid")
    day = time // DAY_MS
    order = np.lexsort((time, org))
    in_order = rows.take(pa.array(order))
    starts = np.flatnonzero(np.diff(org[order], prepend=-1) | np.diff(day[order], prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        part = in_order.slice(start, end - start)
        yield part, part["metadata"][0]["tenant_uid"].as_py(), int(day[order[start]])


def _codes(rows: pa.Table, folder: str, name: str) -> npt.NDArray[np.int64]:
    column = pa.chunked_array([chunk.field(name) for chunk in rows[folder].chunks]).combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes: npt.NDArray[np.int64] = column.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
