"""Everything on one machine: a supervisor with the gateway and console, the consumers, and as root the agent."""

from __future__ import annotations

import http.client
import os
import secrets
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
import structlog

from tocsin.agent.config import DEFAULT_STATE_DIR
from tocsin.agent.enroll import enroll
from tocsin.agent.identity import load_identity
from tocsin.api.auth import first_login_token
from tocsin.config import Settings, default_data_dir
from tocsin.model.errors import InvalidSetting, TocsinError, Unreachable
from tocsin.state.engine import reading
from tocsin.state.tables import agent
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.processes.claim import INSTANCE, INSTANCE_HEADER, claim_folder, claim_port
from tocsin.wiring.processes.first_start import make_enrolment_token, open_server_state
from tocsin.wiring.processes.log_format import QUIET
from tocsin.wiring.processes.supervise import Child, Supervisor

__all__ = ["Up"]

_log = structlog.get_logger(__name__)
_START_S = 180.0  # a busy machine may take more than a minute to load everything


class Up:
    """One `tocsin up`."""

    def __init__(self, settings: Settings, config: Path | None, *, with_agent: bool) -> None:
        self._settings, self._config = settings, config
        self._with_agent = with_agent and os.geteuid() == 0
        # Beside the usual data folder the agent's own usual one, so that `tocsin agent status` finds it.
        usual = settings.data_dir == default_data_dir()
        self._agent_dir = DEFAULT_STATE_DIR if usual else settings.data_dir / "agent"
        self._clock = SystemClock()
        self._instance = secrets.token_hex(16)

    def run(self, greet: Callable[[dict[str, str]], None]) -> int:
        """Start all, call `greet` when the console answers, return when told to stop; gives the exit code.

        Raises:
            WrongState: the data folder is another server's, or holds no state.
            BadInput: the port cannot be listened on.
        """
        with claim_folder(self._settings.data_dir):
            claim_port(self._settings.host, self._settings.port)
            engine = open_server_state(self._settings, self._clock.now_ms())
            supervisor = Supervisor(
                [self._child("gateway", "api"), self._child("detector"), self._child("lake", "intel")]
            )
            # The greeting waits for the server beside the supervisor, which must tend its children meanwhile.
            threading.Thread(
                target=self._welcome, args=(engine, supervisor, greet), name="welcome", daemon=True
            ).start()
            return supervisor.run()

    def _child(self, *roles: str) -> Child:
        settings = self._settings
        command = [sys.executable, "-m", "tocsin.cli", "serve", *roles, "--data-dir", os.fspath(settings.data_dir)]
        command += ["--host", settings.host, "--port", str(settings.port)]
        command += ["--config", os.fspath(self._config)] if self._config else []
        return Child("+".join(roles), command, self._environment())

    def _environment(self) -> dict[str, str]:
        """What children are to know that is not for the list of processes, where everybody reads it."""
        told = {INSTANCE: self._instance, "TOCSIN_WEBHOOK_URL": self._settings.webhook_url}
        return {**os.environ, **told, **({QUIET: "1"} if sys.stderr.isatty() else {})}

    def _welcome(self, engine: sa.Engine, supervisor: Supervisor, greet: Callable[[dict[str, str]], None]) -> None:
        try:
            _wait_until_it_answers(self._settings, self._instance, supervisor)
        except Unreachable as error:
            _log.error("the server does not start", reason=str(error))
            return
        if supervisor.stopping:
            return
        supervisor.answered()
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
            if not self._is_enrolled(engine):
                org, now = self._settings.org, self._clock.now_ms()
                token = make_enrolment_token(engine, org, uses=1, hours=1, now_ms=now)
                enroll(self._settings.url, token, self._agent_dir, _authority(self._settings))
        except TocsinError as error:
            return f"not started: {error}"
        command = [sys.executable, "-m", "tocsin.agent.main", "run", "--state-dir", os.fspath(self._agent_dir)]
        error_file = self._agent_dir / "agent.log" if sys.stderr.isatty() else None
        supervisor.add(Child("agent", command, error_file=error_file))
        place = "" if self._agent_dir == DEFAULT_STATE_DIR else f" --state-dir {self._agent_dir}"
        return f"on this host; tocsin agent status{place}"

    def _is_enrolled(self, engine: sa.Engine) -> bool:
        """Whether this host's agent knows this server by its present URL, and this server knows the agent."""
        try:
            identity = load_identity(self._agent_dir)
        except InvalidSetting:
            return False
        with reading(engine) as connection:
            known = connection.execute(sa.select(agent.c.id).where(agent.c.id == identity.agent_id)).first()
        return known is not None and identity.server == self._settings.url


def _authority(settings: Settings) -> str:
    pem = settings.data_dir / "tls" / "ca.pem"
    return "" if settings.loopback else pem.read_text()


def _wait_until_it_answers(settings: Settings, instance: str, supervisor: Supervisor) -> None:
    """Return when our own console answers, or the supervisor gives up.

    Raises:
        Unreachable: it did not within _START_S.
    """
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            if supervisor.stopping or _ask(settings) == instance:
                return
        except (OSError, http.client.HTTPException):
            pass  # not yet
        time.sleep(0.05)
    raise Unreachable(f"{settings.url} does not answer after {_START_S:.0f} s")


def _ask(settings: Settings) -> str:
    """Which instance answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 -- compared, not bound
    if settings.loopback:
        connection = http.client.HTTPConnection(host, settings.port, timeout=2)
    else:
        # Only who answers is asked; nothing is sent.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection(host, settings.port, timeout=2, context=context)
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.getheader(INSTANCE_HEADER) or ""
