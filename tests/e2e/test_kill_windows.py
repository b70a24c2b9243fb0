"""kill -9 of the whole server while correlations are half way: the alerts are those of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sending import WITHIN_S, Sender
from tocsin.model.event import Event
from tocsin.testing import free_port, wait_for

ROUNDS = int(os.environ.get("TOCSIN_KILL_ROUNDS", "3"))
BATCHES_PER_ROUND = 30
EVENTS_PER_BATCH = 40
USERS, HOSTS = 12, 3
START_MS = 1_750_000_000_000
STEP_MS = 400  # of event time between batches; windows reach over many kills
RULES = """
title: Failed login
name: failed_login
id: 44444444-0000-4000-8000-000000000001
logsource: {product: linux, category: process_creation}
detection: {selection: {CommandLine|startswith: failed}, condition: selection}
---
title: Login
name: login
id: 44444444-0000-4000-8000-000000000002
logsource: {product: linux, category: process_creation}
detection: {selection: {CommandLine|startswith: login}, condition: selection}
---
title: Many failed logins
name: many_failed
id: 44444444-0000-4000-8000-000000000003
correlation: {type: event_count, rules: [failed_login], group-by: [User], timespan: 5s, condition: {gte: 8}, generate: true}
---
title: Guessed password
id: 44444444-0000-4000-8000-000000000004
correlation: {type: temporal_ordered, rules: [many_failed, login], group-by: [User], timespan: 5s, generate: true}
---
title: Many terminals
id: 44444444-0000-4000-8000-000000000005
correlation: {type: value_count, rules: [failed_login], group-by: [User], timespan: 10s, condition: {field: CommandLine, gte: 20}}
---
title: Few failed logins
id: 44444444-0000-4000-8000-000000000006
correlation: {type: event_count, rules: [failed_login], group-by: [User], timespan: 4s, condition: {gte: 2, lte: 3}}
"""  # noqa: E501 -- a correlation a line

CORRELATIONS = {f"44444444-0000-4000-8000-{number:012d}" for number in (3, 4, 5, 6)}

# An alert: which correlation, group and window; how many events; and when each of them was.
Alerts = list[tuple[str, str, int, int, tuple[int, ...]]]


class Server:
    """Gateway and detector, the correlator in it, that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.data_dir, self.port = folder / "data", free_port()
        (folder / "rules.yml").write_text(RULES)
        # Origins are never taken for idle, so that time does not depend on how long a start takes.
        settings = f'rules = ["{folder / "rules.yml"}"]\nrulesets = []\ncorrelation_idle_s = 3600\n'
        (folder / "tocsin.toml").write_text(settings + "correlation_lateness_s = 2\n")
        self._options = ["--config", str(folder / "tocsin.toml"), "--data-dir", str(self.data_dir)]
        self._options += ["--port", str(self.port)]
        self._log = (folder / "server.log").open("a")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        for role in ("gateway", "detector"):
            command = [sys.executable, "-m", "tocsin.cli", "serve", role, *self._options]
            self._processes.append(subprocess.Popen(command, stdout=self._log, stderr=self._log))
        wait_for(self._answers, WITHIN_S, "the gateway answers")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, number: signal.Signals) -> None:
        """The signal to all processes at once."""
        for process in self._processes:
            process.send_signal(number)
        for process in self._processes:
            process.wait(60)
        self._processes.clear()

    def close(self) -> None:
        self.end(signal.SIGTERM)
        self._log.close()


def activity() -> Iterator[tuple[int, list[Event]]]:
    """Host and batch, the same at every call: failed logins in bursts, some out of order, and logins among them."""
    rng = random.Random(11)  # noqa: S311 -- repeatable
    number, used = 0, set[int]()
    for batch in range(ROUNDS * BATCHES_PER_ROUND):
        events = []
        busy = rng.sample(range(USERS), 4)
        for _ in range(EVENTS_PER_BATCH):
            time_ms = max(START_MS, START_MS + batch * STEP_MS + rng.randrange(-1500, STEP_MS))
            # The order of two events of one millisecond is that of their ids, and ids differ from run to run.
            while time_ms in used:
                time_ms += 1
            used.add(time_ms)
            what = rng.choices(["failed", "login", "plain"], [5, 1, 4])[0]
            user = rng.choice(busy)
            number += 1
            command = f"{what} tty{rng.randrange(40)}"
            events.append(
                Event(
                    1007,
                    {
                        "time": time_ms,
                        "activity_id": 1,
                        "process.cmd_line": command,
                        "process.user.name": f"user{user}",
                        "message": f"event {number}",
                    },
                )
            )
        yield rng.randrange(HOSTS), events
    # At last every host says that time has gone on, so that what waits is settled.
    for host in range(HOSTS):
        yield host, [Event(1007, {"time": START_MS + ROUNDS * 10**6, "activity_id": 1, "message": "the end"})]


def run(folder: Path, *, kills: int) -> Alerts:
    """Send everything to a server that is killed so many times; gives the alerts in the end."""
    rng = random.Random(7)  # noqa: S311 -- repeatable moments
    server = Server(folder)
    server.start()
    try:
        hosts = [Sender(server.data_dir, server.port, f"host{host}") for host in range(HOSTS)]
        for number, (host, events) in enumerate(activity()):
            hosts[host].send(events)
            if kills and number % BATCHES_PER_ROUND == BATCHES_PER_ROUND - 1:
                time.sleep(rng.uniform(0, 0.3))
                server.end(signal.SIGKILL)
                kills -= 1
                server.start()
        wait_for(lambda: settled(server.data_dir), WITHIN_S, "detector and correlator at the end")
    finally:
        server.close()
    return alerts(server.data_dir)


def settled(data_dir: Path) -> bool:
    """Has the detector taken the log, and the correlator let time pass over all of it?"""
    with sqlite3.connect(f"file:{data_dir / 'log.db'}?mode=ro", uri=True) as log:
        ends = dict(log.execute("SELECT partition, offset FROM next_offset").fetchall())
    with sqlite3.connect(f"file:{data_dir / 'state.db'}?mode=ro", uri=True) as state:
        offsets = dict(state.execute("SELECT partition, offset FROM consumer_offset WHERE consumer = 'detector'"))
        marks = [mark for (mark,) in state.execute("SELECT watermark FROM window_mark")]
    read = all(offsets.get(partition, 0) >= end for partition, end in ends.items())
    return read and min(marks, default=0) > START_MS + ROUNDS * BATCHES_PER_ROUND * STEP_MS


def alerts(data_dir: Path) -> Alerts:
    """The alerts of correlations, each with the times of its events: which of these are kept whole may differ."""
    with sqlite3.connect(f"file:{data_dir / 'state.db'}?mode=ro", uri=True) as state:
        found = state.execute('SELECT id, rule_id, "group", window_start, event_count FROM alert').fetchall()
        kept = state.execute("SELECT alert_id, time FROM alert_event").fetchall()
    times: dict[str, list[int]] = {}
    for key, time_ms in kept:
        times.setdefault(key, []).append(time_ms)
    return sorted(
        (rule, group, start, count, tuple(sorted(times[key])))
        for key, rule, group, start, count in found
        if rule in CORRELATIONS
    )


@pytest.mark.slow
@pytest.mark.timeout(600 + 60 * ROUNDS)
def test_alerts_of_correlations_equal_those_of_an_undisturbed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After kills in the middle of windows, every alert of every correlation is there with the very same events."""
    undisturbed = run(tmp_path / "undisturbed", kills=0)
    disturbed = run(tmp_path / "disturbed", kills=ROUNDS)
    assert {rule for rule, *_ in undisturbed} == CORRELATIONS
    assert len(undisturbed) > 10 * ROUNDS
    assert disturbed == undisturbed
    told = f"{ROUNDS} kills: {len(disturbed)} alerts of {sum(alert[3] for alert in disturbed)} events, all equal\n"
    with capsys.disabled():
        sys.stdout.write(f"\n{told}")
