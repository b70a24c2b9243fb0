"""A host that sends what a test wants it to have seen."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.model import wire
from tocsin.model.event import Event
from tocsin.state.engine import open_state
from tocsin.testing import wait_for
from tocsin.wiring.processes.first_start import make_enrolment_token

WITHIN_S = 240.0


class Sender:
    """An enrolled host that sends batches, each again until it is taken."""

    def __init__(self, data_dir: Path, port: int, name: str) -> None:
        self._port, self._name = port, name
        self._key = Ed25519PrivateKey.generate()
        engine = open_state(f"sqlite:///{data_dir / 'state.db'}")
        token = make_enrolment_token(engine, "default", uses=1, hours=1, now_ms=time.time_ns() // 1_000_000)
        engine.dispose()
        public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()
        body = json.dumps({"token": token, "public_key": public, "hostname": name})
        _, answer = self._post("/ingest/enroll", body.encode())
        self._position = wire.ChainPosition(answer["org"], answer["agent_id"], "boot", 1, 0, b"")

    def send(self, events: Sequence[Event]) -> None:
        """One batch; returns when it is taken."""
        payload, batch_hash = wire.seal(
            wire.encode_sections(events), self._position, self._key, created_at=time.time_ns() // 1_000_000
        )

        def taken() -> bool:
            try:
                return self._post("/ingest/batch", payload)[0] == 200
            except OSError:
                return False

        wait_for(taken, WITHIN_S, f"a batch of {self._name} is taken")
        self._position = self._position.after(batch_hash)

    def _post(self, path: str, body: bytes) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()
