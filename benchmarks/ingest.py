"""Ingest to lake with detection on: how many events per second become durable, judged and stored on this machine.

A hundred enrolled agents send signed batches of at most 250 ms of activity, 40 % of command lines fresh. The batches
are sealed before the clock starts, so that the senders' own work does not count against the server; the clock stops
when the detector and the lake have both committed the last batch. Then every event is counted in the lake.

    python benchmarks/ingest.py [--seconds 30] [--rate 20000] [--rules FOLDER...]
"""

from __future__ import annotations

import argparse
import os
import random
import re
import selectors
import socket
import sqlite3
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from fleet import SEED, Sender, activity, enrol, now_ms
from report import table
from tocsin.state.engine import open_state
from tocsin.testing import Installation, installed
from tocsin.wiring.processes.first_start import make_enrolment_token

AGENTS = 100
BATCH_MS = 250
CONNECTIONS = 25
DRAIN_S = 120.0


def sealed(senders: list[Sender], rate: int, seconds: int) -> list[list[bytes]]:
    """Batches by the tick at which they are sent: every sender one batch a tick."""
    rng = random.Random(SEED)  # noqa: S311 -- a pinned load
    rows = rate * BATCH_MS // 1000 // len(senders)
    start = now_ms()
    return [
        [sender.seal(list(activity(rng, rows, start + tick * BATCH_MS)), start + tick * BATCH_MS) for sender in senders]
        for tick in range(seconds * 1000 // BATCH_MS)
    ]


def send(url: str, ticks: list[list[bytes]]) -> list[float]:
    """Send every tick's batches at its time over a few kept connections; gives the time of each answer.

    One thread and plain sockets, since whoever sends shares the cores with what is measured.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    lanes = [Lane(host, port, lane) for lane in range(CONNECTIONS)]
    with selectors.DefaultSelector() as selector:
        for lane in lanes:
            selector.register(lane.connection, selectors.EVENT_READ, lane)
        start = time.monotonic()
        for number, batches in enumerate(ticks):
            _serve(selector, until=start + number * BATCH_MS / 1000)
            for at, batch in enumerate(batches):
                lanes[at % CONNECTIONS].add(batch)
        while any(lane.busy for lane in lanes):
            _serve(selector, until=time.monotonic() + 0.01)
    return [latency for lane in lanes for latency in lane.close()]


def _serve(selector: selectors.BaseSelector, until: float) -> None:
    """Take answers until that time."""
    while (left := until - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            key.data.answer()


class Lane:
    """One kept connection, one request at a time."""

    def __init__(self, host: str, port: int, number: int) -> None:
        self.connection = socket.create_connection((host, port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"POST /ingest/batch HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: "
        self._number = number
        self._waiting: deque[bytes] = deque()
        self._sent_at = 0.0
        self._received = b""
        self._latencies: list[float] = []

    @property
    def busy(self) -> bool:
        """Whether something waits for its answer."""
        return bool(self._sent_at)

    def add(self, batch: bytes) -> None:
        """Send the batch when those before it are answered."""
        self._waiting.append(batch)
        if not self._sent_at:
            self._send()

    def answer(self) -> None:
        """Read what came; after a whole answer send the next.

        Raises:
            RuntimeError: the server did not take the batch.
        """
        self._received += self.connection.recv(65_536)
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not found or (length and len(body) < int(length[1])):
            if not self._received:
                raise RuntimeError(f"the server closed connection {self._number}")
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered {self._received!r}")
        self._latencies.append(time.monotonic() - self._sent_at)
        self._received, self._sent_at = b"", 0.0
        if self._waiting:
            self._send()

    def close(self) -> list[float]:
        """Close, and give the time of each answer."""
        self.connection.close()
        return self._latencies

    def _send(self) -> None:
        batch = self._waiting.popleft()
        self._sent_at = time.monotonic()
        self.connection.sendall(f"{self._head}{len(batch)}\r\n\r\n".encode() + batch)


def wait_until_stored(data_dir: Path) -> None:
    """Return when detector and lake have committed everything that the log holds."""
    deadline = time.monotonic() + DRAIN_S
    while not _stored(data_dir):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not stored within {DRAIN_S} s after the last batch")
        time.sleep(0.1)


def _stored(data_dir: Path) -> bool:
    with sqlite3.connect(f"file:{data_dir / 'log.db'}?mode=ro", uri=True) as log:
        ends = dict(log.execute("SELECT partition, offset FROM next_offset"))
    with sqlite3.connect(f"file:{data_dir / 'state.db'}?mode=ro", uri=True) as state:
        rows = state.execute("SELECT consumer, partition, offset FROM consumer_offset").fetchall()
    taken = {(consumer, partition): offset for consumer, partition, offset in rows}
    return all(taken.get((consumer, p), 0) >= end for consumer in ("detector", "lake") for p, end in ends.items())


def cpu_seconds(installation: Installation) -> dict[str, float]:
    """CPU time of the processes of an installation, by role."""
    spent = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            command = (path.parent / "cmdline").read_bytes().decode().split("\0")
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if os.fspath(installation.data_dir) in command and "serve" in command:
            role = "+".join(part for part in command[command.index("serve") + 1 :] if part.isalpha())
            spent[role] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def alerted(data_dir: Path) -> int:
    """How many events are in alerts; an event counts once per rule."""
    with sqlite3.connect(f"file:{data_dir / 'state.db'}?mode=ro", uri=True) as state:
        return int(state.execute("SELECT coalesce(sum(event_count), 0) FROM alert").fetchone()[0])


def lake_bytes(data_dir: Path) -> int:
    """Size of all data files of the lake."""
    return sum(path.stat().st_size for path in data_dir.rglob("*.parquet"))


def measure(rate: int, seconds: int, rules: Sequence[Path], folder: Path) -> list[str]:
    """One run; a row of the table."""
    listed = ", ".join(f'"{path}"' for path in rules)
    with installed(folder, "--no-agent", settings=f"rules = [{listed}]\nlake_flush_s = 5\n") as installation:
        parts = urlsplit(installation.url)
        engine = open_state(f"sqlite:///{installation.data_dir / 'state.db'}")
        token = make_enrolment_token(engine, "default", uses=AGENTS, hours=1, now_ms=now_ms())
        ticks = sealed(enrol(parts.hostname or "", parts.port or 0, token, AGENTS), rate, seconds)
        wanted = rate * BATCH_MS // 1000 // AGENTS * AGENTS * len(ticks)
        before, start = cpu_seconds(installation), time.monotonic()
        own = time.process_time()
        latencies = sorted(send(installation.url, ticks))
        sent_s = time.monotonic() - start
        own = time.process_time() - own
        wait_until_stored(installation.data_dir)
        took_s = time.monotonic() - start
        after = cpu_seconds(installation)
        counted = int(installation.tocsin("search", "--count", "--last", "1d").stdout)
        if counted != wanted:
            raise RuntimeError(f"{wanted} events were acknowledged, {counted} are stored")
        spent = {role: after[role] - before.get(role, 0.0) for role in after} | {"sender": own}
        size = lake_bytes(installation.data_dir)
        findings = alerted(installation.data_dir)
    return [
        f"{rate:,}",
        f"{wanted:,}",
        f"{findings:,}",
        f"{wanted / sent_s:,.0f}",
        f"{wanted / took_s:,.0f}",
        f"{latencies[len(latencies) // 2] * 1000:.0f} / {latencies[int(len(latencies) * 0.99)] * 1000:.0f}",
        ", ".join(f"{role} {1e6 * s / wanted:.0f}" for role, s in sorted(spent.items())),
        f"{size / wanted:.0f}",
    ]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=int, nargs="+", default=[20_000])
    parser.add_argument("--rules", type=Path, nargs="*", default=[])
    chosen = parser.parse_args()
    rows = []
    for rate in chosen.rate:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(rate, chosen.seconds, chosen.rules, Path(folder)))
    head = [
        "offered /s",
        "events",
        "findings",
        "acknowledged /s",
        "stored /s",
        "answer p50 / p99 ms",
        "CPU us/event",
        "lake B/event",
    ]
    print(table(f"Ingest to lake, {AGENTS} agents, {len(chosen.rules)} rule folders", head, rows))


if __name__ == "__main__":
    main()
