"""A collector at work, and a server that takes what ours ships; for the benchmarks of the agent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from tocsin.agent.main import main as agent
from tocsin.model.wire import decode_envelope

__all__ = ["Collector", "server", "tocsin"]

SETTLE_S = 2.0


class Collector:
    """A collector at work: its processes."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids

    def cpu_ms(self) -> float:
        tasks = [task for pid in self.pids for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    def memory_mib(self) -> float:
        """The most that was ever resident."""
        return self._status_mib("VmHWM:")

    def resident_mib(self) -> float:
        return self._status_mib("VmRSS:")

    def _status_mib(self, name: str) -> float:
        lines = [line for pid in self.pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@contextmanager
def server() -> Iterator[str]:
    """Takes batches and acknowledges them, so that shipping is part of what is measured."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer: dict[str, object] = {"org": "bench", "agent_id": "bench", "ca": ""}
            if self.path in ("/ingest/batch", "/ingest/batches"):
                last = body if self.path == "/ingest/batch" else msgspec.msgpack.decode(body, type=list[bytes])[-1]
                header = decode_envelope(last)[1]
                answer = {"epoch": header.epoch, "next": header.sequence + 1}
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()


@contextmanager
def tocsin(folder: Path, url: str, settings: str) -> Iterator[Collector]:
    """Our agent, shipping to `url`."""
    config = folder / "agent.toml"
    config.write_text(settings)
    options = ["--state-dir", str(folder / "agent"), "--config", str(config)]
    if agent(["enroll", "--server", url, "--token", "bench", *options]):
        raise SystemExit(1)
    process = subprocess.Popen([sys.executable, "-m", "tocsin.agent.main", "run", *options])
    time.sleep(SETTLE_S)
    yield Collector([process.pid])
    process.send_signal(signal.SIGTERM)
    process.wait()
