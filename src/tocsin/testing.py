"""A whole Tocsin as a user starts it: `tocsin up` in a folder of its own, with a real receiver for its webhooks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["Installation", "Received", "Receiver", "free_port", "installed", "wait_for"]

START_S = 60.0
STOP_S = 40.0


@dataclass(frozen=True)
class Received:
    """One webhook as it came in."""

    at_ms: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        """The payload's `data`."""
        content: dict[str, Any] = json.loads(self.body)["data"]
        return content


@dataclass
class Receiver:
    """A real HTTP server that takes webhooks."""

    received: list[Received] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        """Listen on loopback until the block ends."""
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                at_ms = time.time_ns() // 1_000_000
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # the sender was killed within its request: nothing was taken
                    self.close_connection = True
                    return
                received.append(Received(at_ms, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def alerts(self, rule_id: str) -> list[Received]:
        """What came of one rule."""
        return [one for one in list(self.received) if one.data["alert"]["rule"]["id"] == rule_id]


@dataclass
class Installation:
    """A running `tocsin up`."""

    data_dir: Path
    url: str
    greeting: dict[str, str]
    process: subprocess.Popen[str]
    receiver: Receiver

    def tocsin(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command against this installation's data."""
        command = [sys.executable, "-m", "tocsin.cli", *arguments, "--data-dir", os.fspath(self.data_dir)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def log_in(self, name: str, password: str) -> None:
        """Become the owner, with the first-login token that the greeting shows."""
        first = self.greeting["first login"].partition("token=")[2]
        jar = urllib.request.HTTPCookieProcessor()
        opener = urllib.request.build_opener(jar)
        opener.open(f"{self.url}/login?token={first}").close()
        form = urllib.parse.urlencode({"token": first, "name": name, "password": password}).encode()
        opener.open(urllib.request.Request(f"{self.url}/welcome", form, {"Origin": self.url})).close()

    def post(self, path: str, body: bytes, token: str) -> object:
        """POST with a bearer token; gives the JSON that comes back."""
        request = urllib.request.Request(self.url + path, body, {"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def agent_is_healthy(self) -> bool:
        """Does this host's agent say that it is?"""
        command = [sys.executable, "-m", "tocsin.cli", "agent", "status", "--state-dir", str(self.data_dir / "agent")]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: Callable[[], object], within_s: float, name: str) -> None:
    """Return once `what` is true.

    Raises:
        AssertionError: it was not in time.
    """
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"{name}: not within {within_s} s"
        time.sleep(0.02)


@contextmanager
def installed(folder: Path, *options: str, settings: str = "") -> Iterator[Installation]:
    """Start everything, give it when it answers, stop it in order."""
    config = folder / "tocsin.toml"
    config.write_text(settings)
    port = free_port()
    with Receiver().listening() as receiver, (folder / "server.log").open("w") as log:
        command = [sys.executable, "-m", "tocsin.cli", "up", "--json", "--config", os.fspath(config)]
        command += ["--data-dir", os.fspath(folder / "data"), "--port", str(port), "--webhook-url", receiver.url]
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            greeting = _greeting(process, folder / "server.log")
            yield Installation(folder / "data", f"http://127.0.0.1:{port}", greeting, process, receiver)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S)
            if process.stdout:
                process.stdout.close()


def _greeting(process: subprocess.Popen[str], log: Path) -> dict[str, str]:
    assert process.stdout is not None
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    assert line, f"tocsin up said nothing:\n{log.read_text()[-4000:]}"
    greeting: dict[str, str] = json.loads(line)
    return greeting
