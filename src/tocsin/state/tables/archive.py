"""The archive's files: which of those that lie beside the lake count."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.state.tables.columns import METADATA, key, number, number_key

__all__ = ["archive_file", "archive_start"]

archive_file = sa.Table(
    "archive_file",
    METADATA,
    key("org"),
    key("name"),  # SHA-256 of the file's content
    number("day"),  # of receipt, counted from 1970
    number("first_at"),  # receipt of its first batch
    number("last_at"),
    number("batches"),
    number("size_bytes"),
    sa.Index(None, "day"),
)

# From where on the log is archived: what an older version of Tocsin stored before has no batch beside it.
archive_start = sa.Table("archive_start", METADATA, number_key("partition"), number("offset"))
