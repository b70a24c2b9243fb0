"""A real HTTP server that takes batches as the gateway does, and fails when told to."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tocsin.agent.operate.supervised import SUPERVISOR
from tocsin.model.errors import InvalidBatch
from tocsin.model.event import Event
from tocsin.model.wire import BatchHeader, decode_body, decode_envelope, decode_events, verify

Answer = tuple[int, bytes]


@contextmanager
def at_work(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that never outlives its test: it would hold the kernel's audit, and no other could start."""
    environment = os.environ | {SUPERVISOR: str(os.getpid())}
    agent = subprocess.Popen(command, env=environment)
    try:
        yield agent
    finally:
        agent.kill()
        agent.wait()


class Server:
    """What arrived, verified; `answers` holds what to answer instead for the next batches.

    `answers_together` is the same for the next requests that hold several.
    """

    def __init__(self) -> None:
        self.key: Ed25519PublicKey | None = None
        self.headers: list[BatchHeader] = []
        self.events: list[Event] = []
        self.health: list[dict[str, object]] = []
        self.answers: list[Answer] = []
        self.enrolments: list[dict[str, object]] = []
        self.clones: list[dict[str, object]] = []
        self.clones_allowed = True
        self.answers_together: list[Answer] = []
        self.requests = 0
        self.together: list[int] = []  # batches per request that held several
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self._http is not None
        return f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[Server]:
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def enroll(self, body: bytes) -> Answer:
        self.enrolments.append(json.loads(body))
        if self.enrolments[-1]["token"] != "good":
            return 403, b'{"detail": "the enrolment token is unknown, expired or used up"}'
        raw = base64.b64decode(str(self.enrolments[-1]["public_key"]))
        self.key = Ed25519PublicKey.from_public_bytes(raw)
        return 200, b'{"org": "acme", "agent_id": "a1", "ca": ""}'

    def clone(self, body: bytes) -> Answer:
        if not self.clones_allowed:
            return 403, b'{"detail": "clones may not join by themselves: enrol this host with a token"}'
        self.clones.append(json.loads(body))
        return 200, b'{"org": "acme", "agent_id": "a2", "ca": ""}'

    def batch(self, body: bytes) -> Answer:
        self.requests += 1
        if self.answers:
            return self.answers.pop(0)
        try:
            envelope, header = decode_envelope(body)
        except InvalidBatch as error:
            return 400, json.dumps({"detail": str(error)}).encode()
        assert self.key is not None
        verify(envelope, self.key)
        if (header.epoch, header.sequence) in {(known.epoch, known.sequence) for known in self.headers}:
            return 200, json.dumps({"epoch": header.epoch, "next": header.sequence + 1}).encode()
        self.headers.append(header)
        for section in decode_body(envelope, header):
            self.events += decode_events(section)
        return 200, json.dumps({"epoch": header.epoch, "next": header.sequence + 1}).encode()

    def batches(self, body: bytes) -> Answer:
        """Several at once: all are taken, or none."""
        if self.answers_together:
            return self.answers_together.pop(0)
        parts = msgspec.msgpack.decode(body, type=list[bytes])
        self.together.append(len(parts))
        return [self.batch(part) for part in parts][-1]

    def report(self, body: bytes) -> Answer:
        self.health.append(json.loads(body))
        return 200, b"{}"


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    routes: dict[str, Callable[[bytes], Answer]] = {
        "/ingest/enroll": server.enroll,
        "/ingest/clone": server.clone,
        "/ingest/batch": server.batch,
        "/ingest/batches": server.batches,
        "/ingest/health": server.report,
        "/ingest/policy": lambda _body: (200, b'{"name": "", "policies": []}'),
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = routes[self.path](body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler
