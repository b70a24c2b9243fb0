"""Every source format is taken over HTTP, and its events are in the log as the format's reader makes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tocsin.columnar.frame import events_at, frames
from tocsin.model import wire
from tocsin.wiring.sources import READERS

if TYPE_CHECKING:
    from ingest.conftest import Server
    from tocsin.model.event import Event

KEY = {"Authorization": "Bearer let-me-in"}
LOGS = sorted((Path(__file__).parents[1] / "golden").glob("*/*.log"))


def _logged(server: Server) -> list[Event]:
    batches = []
    for entry in server.entries():
        envelope, header = wire.decode_envelope(entry.payload)
        batches.append((entry, header, wire.decode_body(envelope, header)))
    return [event for frame in frames(batches).values() for event in events_at(frame, range(len(frame)))]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log.parent.name}/{log.stem}")
def test_a_log_of_every_source_is_taken(server: Server, log: Path) -> None:
    """As many events as the format's reader makes of the lines, each of its class."""
    body = log.read_bytes()
    expected = list(READERS[log.parent.name](body.splitlines()))
    answer = server.client.post(f"/ingest/events?source={log.parent.name}", content=body, headers=KEY)
    assert answer.json() == {"accepted": len(expected), "refused": 0, "problems": []}
    classes = sorted(event.class_uid for event in expected if not hasattr(event, "reason"))
    assert sorted(event.class_uid for event in _logged(server)) == classes


def test_objects_of_a_product_are_the_products_log(server: Server) -> None:
    """`product` names the log of events that do not name theirs, which keeps rules of other products away."""
    body = b'{"eventType": "user.account.lock", "published": "2026-01-02T03:04:05Z"}\n[]\nno JSON'
    answer = server.client.post("/ingest/events?source=json&product=okta", content=body, headers=KEY)
    assert (answer.json()["accepted"], answer.json()["refused"]) == (1, 1)
    (event,) = _logged(server)
    assert (event.class_uid, event.values["metadata.log_name"]) == (0, "okta")
