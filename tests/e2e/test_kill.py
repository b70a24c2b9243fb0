"""kill -9 of the whole server, again and again, while an agent ships: nothing missing, nothing double."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.agent.config import BatchSettings, SpoolSettings
from tocsin.agent.deliver.batcher import Batcher
from tocsin.agent.deliver.ship import Shipper
from tocsin.agent.deliver.spool import Spool
from tocsin.agent.deliver.transport import Transport
from tocsin.agent.enroll import enroll
from tocsin.agent.identity import load_key
from tocsin.agent.operate.health import Health
from tocsin.agent.policy.delivered import Follower
from tocsin.conditions.parse_sql import parse_filter
from tocsin.model.event import Event, Value
from tocsin.ports import Selection
from tocsin.state.engine import open_state
from tocsin.testing import Receiver, free_port, wait_for
from tocsin.wiring.processes.first_start import make_enrolment_token

ROUNDS = int(os.environ.get("TOCSIN_KILL_ROUNDS", "4"))
EVENTS_PER_BATCH = 20
ALERT_EVERY = 50
WITHIN_S = 180.0
RULE = """
title: A marked command
id: 22222222-0000-4000-8000-000000000001
logsource: {product: linux, category: process_creation}
detection:
  selection: {CommandLine|startswith: marked}
  condition: selection
level: high
tocsin: {group_by: [process.cmd_line]}
"""


class Server:
    """`tocsin up` that can be killed with all its processes, and started again on the same data."""

    def __init__(self, folder: Path, webhook_url: str) -> None:
        self.data_dir, self.port = folder / "data", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "rules.yml").write_text(RULE)
        settings = f'rules = ["{folder / "rules.yml"}"]\nrulesets = []\nlake_flush_s = 0.7\n'
        (folder / "tocsin.toml").write_text(settings)
        self._command = [sys.executable, "-m", "tocsin.cli", "up", "--no-agent", "--json"]
        self._command += ["--config", str(folder / "tocsin.toml"), "--data-dir", str(self.data_dir)]
        self._command += ["--port", str(self.port), "--webhook-url", webhook_url]
        self._log = (folder / "server.log").open("a")

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._log, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the server did not start"

    def kill(self) -> None:
        """SIGKILL to the supervisor and everything that it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(40)
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()


class Delivery:
    """The agent's own batcher, spool and shipper, enrolled; not yet started."""

    def __init__(self, server: Server, folder: Path, hostname: str, settings: BatchSettings) -> None:
        engine = open_state(f"sqlite:///{server.data_dir / 'state.db'}")
        token = make_enrolment_token(engine, "default", uses=1, hours=1, now_ms=time.time_ns() // 1_000_000)
        engine.dispose()
        identity = enroll(server.url, token, folder)
        key: Ed25519PrivateKey = load_key(folder)
        health = Health("test")
        self.spool = Spool(folder / "spool", SpoolSettings(), identity, key, "boot")
        self.batcher = Batcher(self.spool, key, settings, {"device.hostname": hostname}, health)
        self.shipper = Shipper(self.spool, Transport(server.url), identity, key, health, Follower(folder))


class Agent:
    """An agent's delivery, fed with commands that can be counted."""

    def __init__(self, server: Server, folder: Path) -> None:
        delivery = Delivery(server, folder, "victim", BatchSettings())
        self.spool, self._batcher, self._shipper = delivery.spool, delivery.batcher, delivery.shipper
        self._shipper.start()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.commands: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.wait(0.02):
            self._batcher.add([self._event() for _ in range(EVENTS_PER_BATCH)])
            self._batcher.flush()

    def _event(self) -> Event:
        number = len(self.commands)
        command = f"{'marked' if number % ALERT_EVERY == 0 else 'plain'} {number}"
        self.commands.append(command)
        now = time.time_ns() // 1_000_000
        values: dict[str, Value] = {"time": now, "activity_id": 1, "process.pid": number, "process.cmd_line": command}
        return Event(1007, values)

    def finish(self, within_s: float) -> None:
        """Stop making events, and ship all that is left."""
        self._stop.set()
        self._thread.join()
        wait_for(lambda: not self.spool.waiting, within_s, "an empty spool")
        self._shipper.stop(1)


def _taken(data_dir: Path) -> bool:
    """Have detector and lake taken everything in the log?"""
    with sqlite3.connect(f"file:{data_dir / 'log.db'}?mode=ro", uri=True) as log:
        ends = log.execute("SELECT partition, offset FROM next_offset").fetchall()
    with sqlite3.connect(f"file:{data_dir / 'state.db'}?mode=ro", uri=True) as state:
        rows = state.execute("SELECT consumer, partition, offset FROM consumer_offset").fetchall()
    offsets = {(consumer, partition): offset for consumer, partition, offset in rows}
    return all(offsets.get((consumer, p), 0) >= end for consumer in ("detector", "lake") for p, end in ends)


def _stored(data_dir: Path) -> Counter[str]:
    """Every command line in lake and hot rows, counted."""
    engine = open_state(f"sqlite:///{data_dir / 'state.db'}")
    log = SqliteLog(data_dir / "log.db")
    query = DuckdbQuery(log, engine, engine)
    everything = Selection("default", 0, 2**52, parse_filter("device.hostname = 'victim'"), limit=10**7)
    stored = Counter(str(row["process.cmd_line"]) for row in query.events(everything))
    query.close()
    log.close()
    engine.dispose()
    return stored


def _alerts(data_dir: Path) -> list[tuple[str, int]]:
    with sqlite3.connect(f"file:{data_dir / 'state.db'}?mode=ro", uri=True) as state:
        return state.execute("SELECT title, event_count FROM alert").fetchall()


@pytest.mark.slow
@pytest.mark.timeout(600 + 60 * ROUNDS)
def test_nothing_is_missing_or_double_after_kills(tmp_path: Path) -> None:
    """After kills at random moments every event is stored once, every alert is there once, every webhook came."""
    rng = random.Random(7)  # noqa: S311 -- repeatable moments
    with Receiver().listening() as receiver:
        server = Server(tmp_path, receiver.url)
        server.start()
        agent = Agent(server, tmp_path / "agent")
        agent.start()
        for _ in range(ROUNDS):
            time.sleep(rng.uniform(0.3, 3.0))
            server.kill()
            server.start()
        agent.finish(within_s=WITHIN_S)
        wait_for(lambda: _taken(server.data_dir), WITHIN_S, "detector and lake at the log's end")
        stored = _stored(server.data_dir)
        marked = [command for command in agent.commands if command.startswith("marked")]
        wait_for(
            lambda: len({one.data["alert"]["id"] for one in receiver.received}) == len(marked), WITHIN_S, "all webhooks"
        )
        server.close()
    assert len(agent.commands) > 100 * ROUNDS
    assert stored == Counter(agent.commands)
    assert sorted(count for _, count in _alerts(server.data_dir)) == [1] * len(marked)
