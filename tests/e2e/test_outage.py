"""The server is away for an hour of load, time compressed, then comes back: nothing is missing in the lake."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from e2e.test_kill import WITHIN_S, Delivery, Server, _taken
from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.agent.config import BatchSettings
from tocsin.conditions.parse_sql import parse_filter
from tocsin.config import load_settings
from tocsin.model.event import Event
from tocsin.ports import Selection
from tocsin.state.engine import open_state
from tocsin.testing import Receiver, wait_for
from tocsin.wiring.verify import Period, open_evidence, verify

pytestmark = pytest.mark.slow
HOUR_S, BATCH_EVERY_S = 3600, 3
PER_SECOND = int(os.environ.get("TOCSIN_OUTAGE_RATE", "20"))
FRESH = 40


class Host:
    """An agent's delivery; events are given a number and a time."""

    def __init__(self, server: Server, folder: Path) -> None:
        delivery = Delivery(server, folder, "far", BatchSettings(max_rows=60_000))
        self.spool, self._batcher, self.shipper = delivery.spool, delivery.batcher, delivery.shipper
        self.made = 0

    def happen(self, count: int, first_ms: float, step_ms: float) -> None:
        """Events that many, evenly in time, in one batch."""
        numbers = range(self.made, self.made + count)
        times = [int(first_ms + i * step_ms) for i in range(count)]
        self._batcher.add(
            [Event(1007, {"time": t, "activity_id": 1, "message": str(n)}) for n, t in zip(numbers, times, strict=True)]
        )
        self._batcher.flush()
        self.made += count


def _stored(data_dir: Path) -> Counter[int]:
    engine = open_state(f"sqlite:///{data_dir / 'state.db'}")
    log = SqliteLog(data_dir / "log.db")
    query = DuckdbQuery(log, engine, engine)
    everything = Selection("default", 0, 2**52, parse_filter("device.hostname = 'far'"), limit=10**7)
    stored = Counter(int(str(row["message"])) for row in query.events(everything))
    query.close()
    log.close()
    engine.dispose()
    return stored


def _is_intact(data_dir: Path) -> bool:
    settings = load_settings(data_dir=data_dir)
    engine, log = open_state(settings.state), SqliteLog(data_dir / "log.db")
    now = time.time_ns() // 1_000_000
    verdict = verify(open_evidence(settings, engine, log, Period(0, now + 1)), lambda _done, _of: None)
    log.close()
    engine.dispose()
    return verdict.intact


def test_an_hour_without_the_server_loses_nothing(tmp_path: Path) -> None:
    """All of the hour and what happens while it is caught up is stored once, and `verify` finds the chain whole."""
    with Receiver().listening() as receiver:
        server = Server(tmp_path, receiver.url)
        server.start()
        host = Host(server, tmp_path / "agent")
        server.kill()
        host.shipper.start()
        hour_ago_ms = time.time() * 1000 - HOUR_S * 1000
        for second in range(0, HOUR_S, BATCH_EVERY_S):
            host.happen(PER_SECOND * BATCH_EVERY_S, hour_ago_ms + second * 1000, 1000 / PER_SECOND)
        waiting = host.spool.waiting
        server.start()
        started = time.monotonic()
        for _ in range(FRESH):
            host.happen(3, time.time() * 1000, 1)
            time.sleep(0.15)
        wait_for(lambda: not host.spool.waiting, WITHIN_S, "an empty spool")
        took_s = time.monotonic() - started
        host.shipper.stop(1)
        wait_for(lambda: _taken(server.data_dir), WITHIN_S, "detector and lake at the log's end")
        server.close()
    (tmp_path / "told").write_text(f"{waiting} batches, {host.made} events waited; caught up in {took_s:.1f} s")
    assert waiting == HOUR_S // BATCH_EVERY_S
    assert _stored(server.data_dir) == Counter(range(host.made))
    assert _is_intact(server.data_dir)
