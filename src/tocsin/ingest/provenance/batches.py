"""Archived batches: whether each is its sender's, and whether the ledger says the same of it."""

from __future__ import annotations

import array
import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tocsin.columnar.decode import decode
from tocsin.columnar.frame import Batch
from tocsin.ingest.provenance.alteration import What
from tocsin.ingest.senders import agent_id
from tocsin.model import wire
from tocsin.model.errors import BadSignature, InvalidBatch
from tocsin.model.event import batch_id
from tocsin.model.wire import BatchHeader
from tocsin.ports import LogEntry
from tocsin.state.tables import agent

__all__ = ["Fingerprints", "Keys", "fingerprint", "ledger_fingerprint", "number_of"]


class Key(msgspec.Struct, frozen=True):
    """An agent's key, as the state has it."""

    public: Ed25519PublicKey
    hostname: str
    own: bool  # whether the agent's id follows from the key
    revoked_at: int | None


class Keys:
    """The keys of an org's agents, and of the server itself, which signs what it normalises."""

    def __init__(self, connection: sa.Connection, org: str, server: Ed25519PublicKey) -> None:
        self._server = Key(server, "", own=True, revoked_at=None)
        rows = connection.execute(sa.select(agent).where(agent.c.org == org))
        self._keys = {row.id: _key(org, row) for row in rows}

    def hostname(self, origin: str) -> str:
        """The name of the sender's machine; its own where it has none."""
        key = self._keys.get(origin)
        return key.hostname if key and key.hostname else origin

    def altered(self) -> list[str]:
        """Agents whose key is not the one that they enrolled with: an agent's id is made of its key."""
        return [uid for uid, key in self._keys.items() if not key.own]

    def open(self, entry: LogEntry) -> tuple[Batch | None, What | None, str]:
        """The batch, if it can be read; and what is wrong with it, in a word and in a sentence."""
        key = self._keys.get(entry.origin, self._server)
        try:
            envelope, _header = wire.decode_envelope(entry.payload)
            wire.verify(envelope, key.public)
            batch = decode(entry)
        except BadSignature:
            whose = "of the agent" if entry.origin in self._keys else "of an enrolled agent, nor the server's"
            return None, What.FORGED, f"its signature is not that {whose}"
        except InvalidBatch as error:
            return None, What.BATCH_ALTERED, str(error)
        if key.revoked_at is not None and entry.received_at > key.revoked_at:
            return batch, What.REVOKED, "it was taken after the agent had been revoked"
        return batch, None, ""


def _key(org: str, row: sa.Row[Any]) -> Key:
    own = agent_id(org, row.public_key) == row.id
    return Key(Ed25519PublicKey.from_public_bytes(row.public_key), row.hostname, own, row.revoked_at)


class Fingerprints:
    """What was seen of many batches in 24 bytes each: which one, what the ledger must say of it, how many rows."""

    def __init__(self) -> None:
        self._ids, self._prints, self._rows = array.array("Q"), array.array("Q"), array.array("L")

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, number: int, printed: int, rows: int) -> None:
        """Note a batch."""
        self._ids.append(number)
        self._prints.append(printed)
        self._rows.append(rows)

    def sort(self) -> None:
        """Make ready for questions."""
        ids = np.frombuffer(self._ids, np.uint64) if self._ids else np.empty(0, np.uint64)
        order = np.argsort(ids, kind="stable")
        self.ids: npt.NDArray[np.uint64] = ids[order]
        self.prints = np.frombuffer(self._prints, np.uint64)[order] if len(order) else ids
        self.rows = np.frombuffer(self._rows, np.dtype("L"))[order] if len(order) else ids

    def place(self, number: int) -> int | None:
        """Where the batch is in the sorted arrays."""
        at = int(np.searchsorted(self.ids, np.uint64(number)))
        return at if at < len(self.ids) and int(self.ids[at]) == number else None

    def twice(self) -> Iterable[int]:
        """Batches that were seen more than once."""
        again: list[int] = np.unique(self.ids[1:][self.ids[1:] == self.ids[:-1]]).tolist()
        return again


def number_of(org: str, origin: str, epoch: int, sequence: int) -> int:
    """The batch's id, as a number."""
    return int(batch_id(org, origin, epoch, sequence), 16)


def fingerprint(entry: LogEntry, header: BatchHeader, *, tombstone: bool) -> int:
    """64 bits of everything that the ledger keeps of a batch."""
    return _print(
        header.hash(), header.previous, header.created_at, entry.received_at, header.rows, header.priority,
        header.not_kept, entry.partition, entry.offset, tombstone,
    )  # fmt: skip


def ledger_fingerprint(row: sa.Row[Any]) -> int:
    """The same of a row of the ledger."""
    return _print(
        row.hash, row.previous, row.created_at, row.received_at, row.rows, row.priority,
        row.not_kept, row.partition, row.offset, row.tombstone,
    )  # fmt: skip


def _print(*said: object) -> int:
    return int.from_bytes(hashlib.sha256(msgspec.msgpack.encode(said, order="deterministic")).digest()[:8])
