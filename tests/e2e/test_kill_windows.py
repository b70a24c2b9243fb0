"""kill -9 of the whole server while correlations are half way: the alerts are those of an undisturbed run."""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.model import wire
from tocsin.model.event import Event
from tocsin.state.engine import open_state
from tocsin.testing import free_port, wait_for
from tocsin.wiring.first_start import make_enrolment_token

ROUNDS = int(os.environ.get("TOCSIN_KILL_ROUNDS", "3"))
BATCHES_PER_ROUND = 30
EVENTS_PER_BATCH = 40
USERS, HOSTS = 12, 3
WITHIN_S = 120.0
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

# An alert: which correlation, group and window; how many events; and which.
Alerts = list[tuple[str, str, int, int, tuple[str, ...]]]


class Server:
    """Gateway and detector, with correlator, that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.data_dir, self.port = folder / "data", free_port()
        (folder / "rules.yml").write_text(RULES)
        # Origins are never taken for idle, so that time does not depend on how long a start takes.
        settings = f'rules = ["{folder / "rules.yml"}"]\nrulesets = []\ncorrelation_idle_s = 3600\n'
        (folder / "tocsin.toml").write_text(settings + "correlation_lateness_s = 2\n")
        self._command = [sys.executable, "-m", "tocsin.cli", "up", "--no-agent", "--json"]
        self._command += ["--config", str(folder / "tocsin.toml"), "--data-dir", str(self.data_dir)]
        self._command += ["--port", str(self.port)]
        self._log = (folder / "server.log").open("a")

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._log, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the server did not start"

    def end(self, number: signal.Signals) -> None:
        """The signal to the supervisor and everything that it started."""
        os.killpg(self._process.pid, number)
        self._process.wait(60)
        if self._process.stdout:
            self._process.stdout.close()

    def close(self) -> None:
        if self._process.poll() is None:
            self.end(signal.SIGTERM)
        self._log.close()


class Sender:
    """An enrolled host that sends batches, each again until it is taken."""

    def __init__(self, server: Server, name: str) -> None:
        self._server, self._name = server, name
        # The server makes ids of enrolled hosts by chance; events and groups here name none of them.
        self._key = Ed25519PrivateKey.generate()
        engine = open_state(f"sqlite:///{server.data_dir / 'state.db'}")
        token = make_enrolment_token(engine, "default", uses=1, hours=1, now_ms=time.time_ns() // 1_000_000)
        engine.dispose()
        public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()
        body = json.dumps({"token": token, "public_key": public, "hostname": name})
        _, answer = self._post("/ingest/enroll", body.encode())
        self._position = wire.ChainPosition(answer["org"], answer["agent_id"], "boot", 1, 0, b"")

    def send(self, events: list[Event]) -> None:
        payload, batch_hash = wire.seal(wire.encode_sections(events), self._position, self._key, created_at=START_MS)

        def taken() -> bool:
            try:
                return self._post("/ingest/batch", payload)[0] == 200
            except OSError:
                return False

        wait_for(taken, WITHIN_S, f"a batch of {self._name} is taken")
        self._position = self._position.after(batch_hash)

    def _post(self, path: str, body: bytes) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=60)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def activity() -> Iterator[tuple[int, list[Event]]]:
    """Host and batch, the same at every call: failed logins in bursts, some out of order, and logins among them."""
    rng = random.Random(11)  # noqa: S311 -- repeatable
    number = 0
    for batch in range(ROUNDS * BATCHES_PER_ROUND):
        events = []
        busy = rng.sample(range(USERS), 4)
        for _ in range(EVENTS_PER_BATCH):
            time_ms = START_MS + batch * STEP_MS + rng.randrange(-1500, STEP_MS)
            what = rng.choices(["failed", "login", "plain"], [5, 1, 4])[0]
            user = rng.choice(busy)
            number += 1
            command = f"{what} tty{rng.randrange(40)}"
            events.append(
                Event(
                    1007,
                    {
                        "time": max(START_MS, time_ms),
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
        hosts = [Sender(server, f"host{host}") for host in range(HOSTS)]
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
    with sqlite3.connect(f"file:{data_dir / 'state.db'}?mode=ro", uri=True) as state:
        found = state.execute('SELECT id, rule_id, "group", window_start, event_count FROM alert').fetchall()
        kept = state.execute("SELECT alert_id, time, event FROM alert_event").fetchall()
    events: dict[str, list[str]] = {}
    for key, _, event in kept:
        events.setdefault(key, []).append(str((json.loads(event) or {}).get("message")))
    return sorted((rule, group, start, count, tuple(sorted(events[key]))) for key, rule, group, start, count in found)


@pytest.mark.slow
@pytest.mark.timeout(600 + 60 * ROUNDS)
def test_alerts_of_correlations_equal_those_of_an_undisturbed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After kills in the middle of windows, every alert of every correlation is there with the very same events."""
    undisturbed = run(tmp_path / "undisturbed", kills=0)
    disturbed = run(tmp_path / "disturbed", kills=ROUNDS)
    kinds = {rule for rule, *_ in undisturbed}
    assert len(kinds) == 4, kinds
    assert len(undisturbed) > 10 * ROUNDS
    assert disturbed == undisturbed
    told = f"{ROUNDS} kills: {len(disturbed)} alerts of {sum(alert[3] for alert in disturbed)} events, all equal\n"
    with capsys.disabled():
        sys.stdout.write(f"\n{told}")
