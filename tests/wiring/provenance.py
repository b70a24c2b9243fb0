"""A server's data made in a folder: two agents and the gateway itself send, and everything is filed and archived."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.adapters.archive import Archive
from tocsin.adapters.iceberg import IcebergLake
from tocsin.adapters.lake_sink import CONSUMER, FlushWhen, LakeSink
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.config import load_settings
from tocsin.ingest.provenance.alteration import Alteration
from tocsin.ingest.senders import agent_id
from tocsin.model import wire
from tocsin.model.event import Event
from tocsin.ports import LogEntry, NewEntry
from tocsin.state.engine import open_state
from tocsin.state.ledger import enter
from tocsin.state.position import claim, commit_position
from tocsin.state.tables import agent
from tocsin.stream import Runner
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.names import DETECTOR
from tocsin.wiring.processes.first_start import server_key
from tocsin.wiring.verify import Period, Verdict, open_evidence, verify


class Sender:
    """Somebody with a key, who seals batches."""

    def __init__(self, key: Ed25519PrivateKey, name: str) -> None:
        self.key = key
        self.position = wire.ChainPosition("default", name, "boot", 1, 0, b"")

    def seal(self, events: Iterable[Event]) -> tuple[wire.ChainPosition, bytes]:
        """The next batch, with its place."""
        place = self.position
        sections = wire.encode_sections(events)
        payload, batch_hash = wire.seal(sections, place, self.key, created_at=now_ms())
        self.position = place.after(batch_hash)
        return place, payload


class Filed:
    """State, log, lake and archive below a folder."""

    def __init__(self, folder: Path) -> None:
        self.settings = load_settings(None, data_dir=folder, log_partitions=2)
        self.engine = open_state(self.settings.state)
        self.log = SqliteLog(folder / "log.db", partitions=2)
        self.archive = Archive(folder / "archive")

    def agent(self, name: str) -> Sender:
        """An enrolled agent."""
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        uid = agent_id("default", public)
        with self.engine.begin() as connection:
            row = {"id": uid, "org": "default", "hostname": name, "public_key": public, "enrolled_at": now_ms()}
            connection.execute(sa.insert(agent).values(boot_id="", host={}, health={}, **row))
        return Sender(key, uid)

    def gateway(self) -> Sender:
        """The server itself, which signs what it normalises."""
        return Sender(server_key(self.settings.data_dir), "gateway/http")

    def append(self, place: wire.ChainPosition, payload: bytes, times: int = 1) -> None:
        """Into the log, past the gateway."""
        entry = NewEntry("default", place.agent, place.epoch, place.sequence, now_ms(), payload)
        self.log.append([entry] * times)

    def file(self, flush_rows: int = 1) -> None:
        """Enter everything in the ledger and write it to archive and lake."""
        with self.engine.begin() as connection:
            claimed = claim(connection, CONSUMER, range(2), now_ms())
            judge = claim(connection, DETECTOR, range(2), now_ms())
        lake = IcebergLake(self.settings.state, self.settings.data_dir / "lake", claimed)
        sink = LakeSink(lake, self.archive, self.engine, claimed, SystemClock(), FlushWhen(rows=flush_rows))
        runner = Runner(self.log, sink, _refuse)
        while runner.step():
            pass
        sink.close()
        lake.close()
        with self.engine.begin() as connection:
            enter(connection, map(_header, self.entries()))
            commit_position(connection, DETECTOR, sink.position(), judge, now_ms())

    def entries(self) -> list[LogEntry]:
        """All of the log."""
        return [entry for partition in range(2) for entry in self.log.read(partition, 0, max_bytes=1 << 30)]

    def verify(self, agent_id: str = "") -> Verdict:
        """As `tocsin verify` does."""
        period = Period(now_ms() - 86_400_000, now_ms() + 1, agent_id)
        return verify(open_evidence(self.settings, self.engine, self.log, period), lambda _done, _of: None)

    def found(self) -> set[tuple[str, str, int]]:
        """What `verify` names: what, host, sequence."""
        return {(one.what.value, one.hostname, one.sequence) for one in self.verify().alterations}

    def compact(self) -> int:
        """Merge the lake's files, as those of a day that is over are; gives the number of files that went away."""
        with self.engine.begin() as connection:
            claimed = claim(connection, CONSUMER, range(2), now_ms())
        lake = IcebergLake(self.settings.state, self.settings.data_dir / "lake", claimed)
        gone = sum(lake.compact(class_uid) for class_uid in (1007, 4001))
        lake.close()
        return gone

    def close(self) -> None:
        self.log.close()
        self.engine.dispose()


def told(alterations: Iterable[Alteration]) -> str:
    """For a failing test."""
    return "\n".join(map(str, alterations))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _header(entry: LogEntry) -> tuple[LogEntry, wire.BatchHeader, bool]:
    envelope, header = wire.decode_envelope(entry.payload)
    return entry, header, not envelope.body


def _refuse(entry: LogEntry, reason: str) -> None:
    raise AssertionError(f"{entry.origin}/{entry.sequence}: {reason}")
