"""Events that went the real way: signed batches in the log, read back by DuckDB."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.model.event import Event
from tocsin.model.wire import ChainPosition, encode_sections, seal
from tocsin.ports import NewEntry

_GIVEN_BY_THE_BATCH = ("metadata.uid", "metadata.tenant_uid", "device.uid")


class StoredEvents:
    """A log of one org, and the query over it."""

    def __init__(self, folder: Path, engine: sa.Engine, org: str) -> None:
        """Keep the log in that folder, beside the state."""
        self._org, self._key, self._sequence = org, Ed25519PrivateKey.generate(), count()
        self._log = SqliteLog(folder / "log.db", 1)
        self.query = DuckdbQuery(self._log, state=engine, catalog=engine)

    def add(self, events: Iterable[Event]) -> None:
        """Append events, one batch per origin."""
        origins: dict[str, list[Event]] = {}
        for event in events:
            plain = {path: value for path, value in event.values.items() if path not in _GIVEN_BY_THE_BATCH}
            origins.setdefault(str(event.values["device.uid"]), []).append(Event(event.class_uid, plain, event.records))
        self._log.append([self._entry(origin, batch) for origin, batch in origins.items()])

    def _entry(self, origin: str, events: list[Event]) -> NewEntry:
        now, sequence = max(int(event.values["time"]) for event in events), next(self._sequence)
        position = ChainPosition(self._org, origin, "boot", 1, sequence, b"")
        payload, _ = seal(encode_sections(events), position, self._key, created_at=now)
        return NewEntry(self._org, origin, 1, sequence, now, payload)

    def close(self) -> None:
        """Close log and engine."""
        self.query.close()
        self._log.close()
