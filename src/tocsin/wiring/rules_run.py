"""Rules over events that are at hand, through the wire and the columns as in the server."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.columnar.frame import frames
from tocsin.detect.engine import Engine
from tocsin.model import wire
from tocsin.model.event import Event
from tocsin.model.finding import Finding
from tocsin.model.wire import ChainPosition
from tocsin.ports import LogEntry

__all__ = ["findings"]

_ORIGIN = "file"


def findings(engine: Engine, events: Iterable[Event]) -> list[Finding]:
    """What the rules find, the very same as if a host had sent these events."""
    position = ChainPosition("default", _ORIGIN, "", 0, 0, b"")
    payload, _ = wire.seal(wire.encode_sections(events), position, Ed25519PrivateKey.generate(), created_at=0)
    envelope, header = wire.decode_envelope(payload)
    entry = LogEntry(0, 0, position.org, _ORIGIN, 0, 0, 0, payload)
    return engine.findings(frames([(entry, header, wire.decode_body(envelope, header))]))
