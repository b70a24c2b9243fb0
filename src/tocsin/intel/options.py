"""What a person may say about a feed beyond where it is."""

from __future__ import annotations

import msgspec

from tocsin.intel.indicator import Kind

__all__ = ["Options"]


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """Kept with the feed as JSON. Secrets are never shown."""

    kind: Kind | None = None  # of all values of a list; guessed if not said
    columns: dict[str, str] = {}  # of a CSV file: what -> name of the column
    private: bool = False  # whether private and own addresses may match
    collection: str = ""  # of a TAXII server: id or title
    username: str = ""
    password: str = ""
    token: str = ""
