"""Replay a captured audit log as if it happened now: an enrolled sender of its own, the log's order, a quicker pace."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator
from importlib import resources

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.agent.deliver.transport import Transport
from tocsin.model import wire
from tocsin.model.errors import InvalidEvent, NotAllowed, Unreachable
from tocsin.model.event import Event
from tocsin.model.wire import ChainPosition
from tocsin.normalize import auditd

__all__ = ["Replay", "demo_events"]

_HOSTNAME = "demo-web-1"
_BATCH_S = 0.25


def demo_events() -> list[Event]:
    """The sample intrusion, recorded on a real kernel (content/demo/README.md says how)."""
    packed = resources.files("tocsin").joinpath("content/demo/intrusion.log.gz").read_bytes()
    return _events(gzip.decompress(packed).splitlines())


def _events(lines: list[bytes]) -> list[Event]:
    events: list[Event] = []
    for item in auditd.read_events(lines, hostname=_HOSTNAME):
        if not isinstance(item, Event):
            raise InvalidEvent(f"line {item.line} of the recording cannot be read: {item.reason}")
        events.append(item)
    return events


class Replay:
    """Sends recorded events to a server, shifted to the present."""

    def __init__(self, server: str, ca: str = "") -> None:
        self._transport = Transport(server, ca)
        self._key = Ed25519PrivateKey.generate()
        self._position = ChainPosition("", "", "replay", 1, 0, b"")

    def enrol(self, token: str) -> None:
        """Become a sender.

        Raises:
            NotAllowed: the server does not take the token.
        """
        public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()
        body = json.dumps({"token": token, "public_key": public, "hostname": _HOSTNAME, "host": {"boot_id": "replay"}})
        answer = self._transport.post("/ingest/enroll", body.encode(), {"Content-Type": "application/json"})
        if answer.status != 200:  # noqa: PLR2004 -- HTTP
            raise NotAllowed(f"the server does not enrol the replay: {answer.detail or answer.status}")
        known = json.loads(answer.body)
        self._position = ChainPosition(known["org"], known["agent_id"], "replay", 1, 0, b"")

    def send(self, events: list[Event], over_s: float) -> int:
        """Send all events within that time, at the pace at which they were recorded; gives how many."""
        sent = 0
        for due_s, batch in _paced(events, over_s):
            time.sleep(due_s)
            now = time.time_ns() // 1_000_000
            for event in batch:
                event.values["time"] = now
            self._send(batch, now)
            sent += len(batch)
        self._transport.close()
        return sent

    def _send(self, events: list[Event], now: int) -> None:
        payload, batch_hash = wire.seal(wire.encode_sections(events), self._position, self._key, created_at=now)
        headers = {"Content-Type": "application/vnd.tocsin.batch"}
        answer = self._transport.post("/ingest/batch", payload, headers)
        if answer.status != 200:  # noqa: PLR2004 -- HTTP
            raise Unreachable(f"the server did not take a batch: {answer.detail or answer.status}")
        self._position = self._position.after(batch_hash)


def _paced(events: list[Event], over_s: float) -> Iterator[tuple[float, list[Event]]]:
    """Batches of events and how long to wait before each."""
    first, last = int(events[0].values["time"]), int(events[-1].values["time"])
    scale = over_s * 1000 / max(last - first, 1)
    slots: dict[int, list[Event]] = {}
    for event in events:
        at_s = (int(event.values["time"]) - first) * scale / 1000
        slots.setdefault(int(max(at_s, 0) / _BATCH_S), []).append(event)
    before = 0
    for slot in sorted(slots):
        yield (slot - before) * _BATCH_S, slots[slot]
        before = slot
