"""The routes under /intel."""

from __future__ import annotations

from pathlib import Path

import httpx
from starlette.testclient import TestClient

from console import ORG, Console
from tocsin.intel.feeds import FeedRow, add
from tocsin.intel.update import update


def _added(console: Console, path: Path, org: str, name: str) -> None:
    path.write_text("198.51.1.0/24\nnonsense!\n")
    now = console.backend.clock.now_ms()
    feed = FeedRow(
        org=org,
        name=name,
        format="list",
        location=str(path),
        level="high",
        options={"token": "secret"},
        created_at=now,
        next_at=now,
    )
    with console.backend.engine.begin() as connection:
        add(connection, feed)
    with httpx.Client() as client:
        assert not update(console.backend.engine, feed, client, now, 1_000).error


def test_feeds_of_the_callers_org(console: Console, client: TestClient, tmp_path: Path) -> None:
    """Feeds come with what they list and what could not be read, without secrets; another org's do not come."""
    _added(console, tmp_path / "a.txt", ORG, "a")
    _added(console, tmp_path / "b.txt", "another", "b")
    answer = client.get("/api/v1/intel/feeds")
    (feed,) = answer.json()["feeds"]
    assert (feed["name"], feed["kinds"], feed["refused"], feed["history"]) == ("a", {"cidr": 1}, 1, 0.0)
    assert "secret" not in answer.text


def test_a_value_is_looked_up(console: Console, client: TestClient, tmp_path: Path) -> None:
    """An address is found by the network that lists it; what is no value is a bad request."""
    _added(console, tmp_path / "a.txt", ORG, "a")
    (listed,) = client.get("/api/v1/intel/lookup", params={"value": "198.51[.]1.7"}).json()["listed"]
    assert (listed["feed"], listed["value"], listed["hidden"]) == ("a", "198.51.1.0/24", "")
    assert client.get("/api/v1/intel/lookup", params={"value": "198.52.1.7"}).json() == {"listed": [], "seen": []}
    assert client.get("/api/v1/intel/lookup", params={"value": "?"}).status_code == 400
