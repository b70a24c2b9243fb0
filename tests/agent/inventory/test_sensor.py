"""What is told of the inventory, and when: whole lists once, then changes, across restarts too."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from ocsf_schema import problems
from tocsin.agent.config import InventorySettings
from tocsin.agent.inventory.collect import KINDS
from tocsin.agent.inventory.jobs import cron_jobs
from tocsin.agent.inventory.sensor import InventorySensor
from tocsin.agent.operate.health import Health
from tocsin.model.event import Event

HOUR_MS = 3_600_000
WITHIN_S = 30
pytestmark = pytest.mark.slow


def _told(sensor: InventorySensor, health: Health, now_ms: int) -> list[Event]:
    """What the sensor tells until nothing more comes of what is due now."""
    events: list[Event] = []
    end = time.monotonic() + WITHIN_S
    sensor.tick(now_ms, health)
    while sensor._running is not None and time.monotonic() < end:
        time.sleep(0.01)
        sensor.tick(now_ms, health)
    while some := sensor.read(now_ms):
        events += some
    return events


@pytest.fixture
def settings(tmp_path: Path) -> InventorySettings:
    """No languages: the tests' own environment would be all of it."""
    return InventorySettings(language_roots=(str(tmp_path / "none"),))


def _kinds(events: list[Event]) -> set[object]:
    return {event.values["metadata.event_code"] for event in events}


def test_whole_lists_once_then_changes_alone(tmp_path: Path, settings: InventorySettings) -> None:
    """At first everything; then a port that was opened, and that it is gone; the next day everything."""
    sensor, health, now_ms = InventorySensor(settings, tmp_path), Health("test"), 100 * HOUR_MS
    first = _told(sensor, health, now_ms)
    assert _kinds(first) == set(KINDS) - ({"job"} if not list(cron_jobs(Path("/"))) else set())
    assert {event.values["unmapped.inventory.change"] for event in first} == {"present"}
    packages = [event for event in first if event.class_uid == 5020]
    assert {event.values["unmapped.inventory.count"] for event in packages} == {len(packages)}
    with socket.create_server(("127.0.0.1", 0)) as server:
        key = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        opened = _told(sensor, health, now_ms + 20_000)
    assert (key, "added") in _changes(opened)
    assert "removed" in {change for name, change in _changes(_told(sensor, health, now_ms + 40_000)) if name == key}
    again = InventorySensor(settings, tmp_path)
    assert not [each for each in _told(again, health, now_ms + 60_000) if each.class_uid == 5020]
    tomorrow = _told(again, health, now_ms + 25 * HOUR_MS)
    assert len([event for event in tomorrow if event.class_uid == 5020]) == len(packages)


def _changes(events: list[Event]) -> set[tuple[object, object]]:
    return {(each.values["unmapped.inventory.key"], each.values["unmapped.inventory.change"]) for each in events}


def test_what_changed_while_the_agent_was_off_is_told(tmp_path: Path, settings: InventorySettings) -> None:
    """A port that was opened between two runs, at the second one's start."""
    health, now_ms = Health("test"), 100 * HOUR_MS
    _told(InventorySensor(settings, tmp_path), health, now_ms)
    with socket.create_server(("127.0.0.1", 0)) as server:
        again = InventorySensor(settings, tmp_path)
        key = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        assert (key, "added") in _changes(_told(again, health, now_ms + 60_000))


def test_every_event_is_valid_ocsf(tmp_path: Path, settings: InventorySettings) -> None:
    """The published schema has nothing against any kind, listed or removed."""
    sensor, health, now_ms = InventorySensor(settings, tmp_path), Health("test"), 100 * HOUR_MS
    events = _told(sensor, health, now_ms)
    first_of_kind = {event.values["metadata.event_code"]: event for event in events}
    for event in first_of_kind.values():
        event.values |= {"metadata.uid": "x", "device.type_id": 1, "device.hostname": "h"}
        assert problems(event) == []


def test_a_child_that_fails_is_said(tmp_path: Path, settings: InventorySettings) -> None:
    """The module is ill while collecting fails, and nothing is told of it."""
    sensor, health = InventorySensor(settings, tmp_path), Health("test")
    sensor.tick(100 * HOUR_MS, health)
    assert sensor._running is not None
    os.kill(sensor._running._pid, 9)
    assert _told(sensor, health, 100 * HOUR_MS) == []
    module = health.snapshot().modules["inventory"]
    assert not module.healthy
    assert "failed" in module.reason
