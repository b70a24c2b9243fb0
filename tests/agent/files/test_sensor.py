"""The sensor's thread beside the agent's loop: what it takes it gives back, and trouble is told, not hidden."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import pytest

from tocsin.agent.config import FileSettings
from tocsin.agent.files.sensor import FileSensor
from tocsin.agent.operate.health import Health
from tocsin.model.event import Event, Value

pytestmark = pytest.mark.root

UPDATE, OPEN = 3, 14


def _audit_event(path: Path, activity_id: int = UPDATE) -> Event:
    values: dict[str, Value] = {
        "time": time.time_ns() // 1_000_000,
        "activity_id": activity_id,
        "status_id": 1,
        "metadata.event_code": "openat",
        "file.path": str(path),
        "unmapped.audit.serial": 5,
    }
    return Event(1001, values, (), {"actor.process.pid": os.getpid(), "actor.process.name": "told by audit"})


def _until_watching(sensor: FileSensor, health: Health) -> None:
    for _ in range(500):
        sensor.tick(time.time_ns() // 1_000_000, health)
        module = health.snapshot().modules.get("files")
        if module is not None and "known" in module.reason and "compared" not in module.reason:
            return
        time.sleep(0.01)
    raise AssertionError(health.snapshot().modules)


def _read(sensor: FileSensor, within_s: float = 3.0) -> list[Event]:
    select.select(sensor.descriptors(), [], [], within_s)
    return list(sensor.read(0))


def test_an_event_of_audit_comes_back_once_with_what_became_of_the_file(tmp_path: Path) -> None:
    """The descriptor wakes the loop; the actor is audit's, the content fanotify's."""
    (tmp_path / "place").mkdir()
    sensor, health = FileSensor(FileSettings(paths=(str(tmp_path / "place"),)), tmp_path), Health("test")
    event = _audit_event(tmp_path / "place" / "file")
    assert not sensor.wants(event)
    _until_watching(sensor, health)
    assert sensor.wants(event)
    (tmp_path / "place" / "file").write_text("x")
    sensor.take(event)
    (whole,) = _read(sensor)
    assert whole.shared["actor.process.name"] == "told by audit"
    assert whole.values["unmapped.audit.serial"] == 5
    assert "file.hashes" in whole.values
    assert not _read(sensor, 0.6)
    sensor.finish()
    sensor.close()


def test_an_event_that_fanotify_says_nothing_of_comes_back_as_it_was(tmp_path: Path) -> None:
    """It happened elsewhere; it leaves within a second, unchanged."""
    (tmp_path / "place").mkdir()
    sensor, health = FileSensor(FileSettings(paths=(str(tmp_path / "place"),)), tmp_path), Health("test")
    _until_watching(sensor, health)
    sensor.take(_audit_event(tmp_path / "elsewhere"))
    (event,) = _read(sensor, 1.0)
    assert event.values == _audit_event(tmp_path / "elsewhere").values | {"time": event.values["time"]}
    sensor.close()


def test_what_is_being_changed_at_the_end_is_told(tmp_path: Path) -> None:
    """Stopping waits for nothing and loses nothing."""
    (tmp_path / "place").mkdir()
    sensor, health = FileSensor(FileSettings(paths=(str(tmp_path / "place"),)), tmp_path), Health("test")
    _until_watching(sensor, health)
    (tmp_path / "place" / "file").write_text("x")
    time.sleep(0.1)
    sensor.take(_audit_event(tmp_path / "elsewhere"))
    sensor.finish()
    assert sorted(str(event.values["file.path"]) for event in sensor.read(0)) == [
        str(tmp_path / "elsewhere"),
        str(tmp_path / "place" / "file"),
    ]
    sensor.close()


def test_a_database_that_cannot_be_opened_is_told_and_audit_goes_on(tmp_path: Path) -> None:
    """The module is ill with the reason, and events of audit are not taken."""
    sensor, health = FileSensor(FileSettings(paths=("/etc",)), tmp_path / "missing"), Health("test")
    for _ in range(50):
        sensor.tick(1, health)
        time.sleep(0.02)
    module = health.snapshot().modules["files"]
    assert not module.healthy
    assert "unable to open database" in module.reason
    assert not sensor.wants(_audit_event(tmp_path / "file"))
    sensor.close()


def test_an_idle_sensor_costs_next_to_nothing(tmp_path: Path) -> None:
    """Beside a folder that is churned and that nobody asked for, the thread sleeps."""
    (tmp_path / "place").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "state").mkdir()
    sensor, health = FileSensor(FileSettings(paths=(str(tmp_path / "place"),)), tmp_path / "state"), Health("test")
    _until_watching(sensor, health)
    time.sleep(0.5)
    thread = sensor._thread
    assert thread is not None
    spent = Path(f"/proc/self/task/{thread.native_id}/schedstat")
    before = int(spent.read_text().split()[0])
    for number in range(2000):
        (tmp_path / "other" / f"{number}").write_bytes(b"x")
    time.sleep(0.5)
    assert int(spent.read_text().split()[0]) - before < 20_000_000  # ns
    sensor.close()
