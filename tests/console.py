"""A console that really runs: state, sample events, an owner, served by uvicorn on a free port."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import sqlalchemy as sa
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

import sample_intrusion
from stored_events import StoredEvents
from tocsin.alert.record import record
from tocsin.api.app import app as api_app
from tocsin.api.auth import create_owner, first_login_token
from tocsin.api.backend import Backend
from tocsin.model.finding import Finding
from tocsin.state.engine import open_state
from tocsin.state.tables import agent
from tocsin.web.app import app as web_app

ORG, NAME, PASSWORD = sample_intrusion.ORG, "ada", "correct horse battery"


def csrf_of(page: str) -> str:
    """The token that a page's forms carry."""
    found = re.search(r'name="csrf" content="([^"]+)"', page)
    assert found
    return found[1]


class Wall:
    """The system's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Console:
    """State and events behind a console, and what tests do to them."""

    def __init__(self, folder: Path) -> None:
        self.clock = Wall()
        self.engine = open_state(f"sqlite:///{folder / 'state.db'}")
        self.events = StoredEvents(folder, self.engine, ORG)
        self.backend = Backend(self.engine, self.events.query, self.clock, ORG)

    def close(self) -> None:
        """Close log and state."""
        self.events.close()
        self.engine.dispose()

    @property
    def asgi(self) -> Starlette:
        """Pages and API as one app, as the server wires them."""
        return web_app(self.backend, [Mount("/api/v1", api_app(self.backend))])

    def first_token(self) -> str:
        """The token of the first login."""
        with self.engine.begin() as connection:
            token = first_login_token(connection, ORG, self.clock.now_ms())
        assert token is not None
        return token

    def owner(self) -> str:
        """Make the owner; gives a session token."""
        token = self.first_token()
        with self.engine.begin() as connection:
            return create_owner(connection, ORG, token, NAME, PASSWORD, self.clock.now_ms())

    def record(self, findings: list[Finding]) -> list[str]:
        """Alerts from findings, as the detector records them."""
        with self.engine.begin() as connection:
            return record(connection, findings, self.clock.now_ms()).changed

    def intrusion(self, ago_ms: int = 240_000) -> list[str]:
        """The whole sample: events, and its alerts in the order in which they were found."""
        start = self.clock.now_ms() - ago_ms
        self.events.add(sample_intrusion.events(start))
        ids: list[str] = []
        for finding in sorted(sample_intrusion.findings(start), key=lambda f: f.time):
            with self.engine.begin() as connection:
                ids += record(connection, [finding], finding.time + 310).changed
        return list(dict.fromkeys(ids))

    def enrol(self) -> None:
        """Three agents: one well, one late, one silent."""
        now = self.clock.now_ms()
        for name, quiet_ms in (("web-1", 2_000), ("bastion-2", 90_000), ("db-1", 7_500_000)):
            with self.engine.begin() as connection:
                connection.execute(sa.insert(agent).values(**_agent(name, now, quiet_ms)))


def _agent(name: str, now: int, quiet_ms: int) -> dict[str, object]:
    return {
        "id": f"agent-{name}",
        "org": ORG,
        "hostname": name,
        "public_key": b"",
        "enrolled_at": now - 86_400_000,
        "last_seen_at": now - quiet_ms,
        "host": {"os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0-28-amd64"},
        "health": {
            "modules": {"audit": {"healthy": True, "reason": ""}, "ship": _shipping(quiet_ms)},
            "counters": {"events": 184_220 + quiet_ms, "kernel_lost": 0, "spool_overflow": 0, "serial_gaps": 0},
        },
    }


@contextmanager
def served(console: Console) -> Iterator[str]:
    """The console at a real address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(console.asgi, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def another(finding: Finding, n: int) -> Finding:
    """The same finding by another rule: a new alert."""
    return msgspec.structs.replace(finding, rule_id=f"{finding.rule_id}-{n}", title=f"{finding.title} ({n})")


def _shipping(quiet_ms: int) -> dict[str, object]:
    if quiet_ms < 60_000:
        return {"healthy": True, "reason": ""}
    return {"healthy": False, "reason": "the server did not answer within 5 s"}
