"""Everything on one machine: a supervisor with the gateway and console, the consumers, and as root the agent."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tocsin.agent.config import DEFAULT_STATE_DIR
from tocsin.agent.enroll import enroll
from tocsin.api.auth import first_login_token
from tocsin.config import Settings, default_data_dir
from tocsin.model.errors import TocsinError, Unreachable
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.first_start import make_enrolment_token, open_server_state
from tocsin.wiring.supervise import Child, Supervisor

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["Up"]

_log = structlog.get_logger(__name__)
_START_S = 60.0


class Up:
    """One `tocsin up`."""

    def __init__(self, settings: Settings, config: Path | None, *, with_agent: bool) -> None:
        self._settings, self._config = settings, config
        self._with_agent = with_agent and os.geteuid() == 0
        # Beside the usual data folder the agent's own usual one, so that `tocsin agent status` finds it.
        usual = settings.data_dir == default_data_dir()
        self._agent_dir = DEFAULT_STATE_DIR if usual else settings.data_dir / "agent"
        self._clock = SystemClock()

    def run(self, greet: Callable[[dict[str, str]], None]) -> None:
        """Start all, call `greet` when the console answers, return when told to stop."""
        engine = open_server_state(self._settings, self._clock.now_ms())
        supervisor = Supervisor([self._child("gateway", "api"), self._child("detector"), self._child("lake")])
        # The greeting waits for the server beside the supervisor, which must tend its children meanwhile.
        threading.Thread(target=self._welcome, args=(engine, supervisor, greet), name="welcome", daemon=True).start()
        supervisor.run()

    def _child(self, *roles: str) -> Child:
        settings = self._settings
        command = [sys.executable, "-m", "tocsin.cli", "serve", *roles, "--data-dir", os.fspath(settings.data_dir)]
        command += ["--host", settings.host, "--port", str(settings.port)]
        return Child("+".join(roles), command + (["--config", os.fspath(self._config)] if self._config else []))

    def _welcome(self, engine: sa.Engine, supervisor: Supervisor, greet: Callable[[dict[str, str]], None]) -> None:
        try:
            _wait_until_it_answers(self._settings)
        except Unreachable as error:
            _log.error("the server does not start", reason=str(error))
            return
        with engine.begin() as connection:
            token = first_login_token(connection, self._settings.org, self._clock.now_ms())
        greeting = {"console": self._settings.url, "data": os.fspath(self._settings.data_dir)}
        if token:
            greeting["first login"] = f"{self._settings.url}/login?token={token}"
        greeting["agent"] = self._start_agent(engine, supervisor)
        greet(greeting)

    def _start_agent(self, engine: sa.Engine, supervisor: Supervisor) -> str:
        """Enrol this host if need be, and run its agent; says what became of it."""
        if not self._with_agent:
            return "not on this host (needs root)" if os.geteuid() else "not on this host (as told)"
        try:
            if not (self._agent_dir / "identity.json").exists():
                org, now = self._settings.org, self._clock.now_ms()
                token = make_enrolment_token(engine, org, uses=1, hours=1, now_ms=now)
                enroll(self._settings.url, token, self._agent_dir, _authority(self._settings))
        except TocsinError as error:
            return f"not started: {error}"
        command = [sys.executable, "-m", "tocsin.agent.main", "run", "--state-dir", os.fspath(self._agent_dir)]
        supervisor.add(Child("agent", command))
        place = "" if self._agent_dir == DEFAULT_STATE_DIR else f" --state-dir {self._agent_dir}"
        return f"on this host; tocsin agent status{place}"


def _authority(settings: Settings) -> str:
    pem = settings.data_dir / "tls" / "ca.pem"
    return "" if settings.loopback else pem.read_text()


def _wait_until_it_answers(settings: Settings) -> None:
    """Return when the console answers.

    Raises:
        Unreachable: it did not within a minute.
    """
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            _ask(settings)
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
        else:
            return
    raise Unreachable(f"{settings.url} does not answer after {_START_S:.0f} s")


def _ask(settings: Settings) -> None:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 -- compared, not bound
    if settings.loopback:
        connection = http.client.HTTPConnection(host, settings.port, timeout=2)
    else:
        # Only whether it answers is asked; nothing is sent.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection(host, settings.port, timeout=2, context=context)
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    connection.close()
