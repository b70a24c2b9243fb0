"""A real journal, written by systemd's own tool, read by its own reader."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tocsin.agent.config import LogSettings
from tocsin.agent.logs.journal import Journal
from tocsin.agent.logs.sensor import LogSensor
from tocsin.agent.operate.health import Health
from tocsin.model.event import Event

WRITER = "/lib/systemd/systemd-journal-remote"
WITHIN_S = 15.0
pytestmark = pytest.mark.skipif(
    not (shutil.which("journalctl") and Path(WRITER).exists()), reason="needs journalctl and systemd-journal-remote"
)


class Writer:
    """Writes a journal's file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._clock = time.time_ns() // 1000
        folder.mkdir()

    def write(self, *texts: str, facility: int = 10) -> None:
        entries = "".join(self._entry(text, facility) for text in texts)
        command = [WRITER, f"--output={self.folder}/host.journal", "-"]
        subprocess.run(command, input=entries.encode(), check=True, capture_output=True)

    def _entry(self, text: str, facility: int) -> str:
        self._clock += 1000
        return (
            f"__REALTIME_TIMESTAMP={self._clock}\n__MONOTONIC_TIMESTAMP={self._clock}\n"
            f"_BOOT_ID={'ab' * 16}\n_MACHINE_ID={'cd' * 16}\n_HOSTNAME=web1\n_PID=77\nPRIORITY=6\n"
            f"SYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY={facility}\nMESSAGE={text}\n\n"
        )


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """A journal with an entry that is older than the agent."""
    writer = Writer(tmp_path / "journal")
    writer.write("old")
    return writer


def _sensor(tmp_path: Path, writer: Writer) -> LogSensor:
    sensor = LogSensor(LogSettings(syslog_files=(), files=()), tmp_path, journal=[f"--directory={writer.folder}"])
    sensor.read(_now_ms())  # so that the child runs
    return sensor


def _told(sensor: LogSensor, count: int) -> list[Event]:
    """So many events, or more if there are."""
    events: list[Event] = []
    deadline = time.monotonic() + WITHIN_S
    while len(events) < count and time.monotonic() < deadline:
        time.sleep(0.05)
        events += sensor.read(_now_ms())
    time.sleep(0.5)
    events += sensor.read(_now_ms())
    sensor.spooled()
    return events


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _messages(events: list[Event]) -> list[object]:
    return [event.values["message"] for event in events]


def test_entries_once_across_restarts(tmp_path: Path, writer: Writer) -> None:
    """From the first start on; what came while no agent ran too; of the facilities that are asked for alone."""
    sensor = _sensor(tmp_path, writer)
    writer.write("Failed password for root from 192.0.2.7 port 22 ssh2")
    writer.write("of a daemon", facility=3)
    writer.write("after it")
    first, second = _told(sensor, 2)
    assert (first.class_uid, first.values["src_endpoint.ip"]) == (3002, "192.0.2.7")
    assert (first.values["metadata.log_source"], first.values["unmapped.log.host"]) == ("authpriv", "web1")
    assert second.values["message"] == "after it"
    assert str(second.values["metadata.original_event_uid"]).startswith("s=")
    sensor.close()
    writer.write("while away")
    again = _sensor(tmp_path, writer)
    assert _messages(_told(again, 1)) == ["while away"]
    again.close()


def test_what_was_not_spooled_comes_again_with_its_cursor(tmp_path: Path, writer: Writer) -> None:
    """A kill loses no entry; its cursor tells that it is the same."""
    sensor = _sensor(tmp_path, writer)
    writer.write("1")
    _told(sensor, 1)
    writer.write("2")
    before: list[Event] = []
    while not before:
        time.sleep(0.05)
        before += sensor.read(_now_ms())
    sensor.close()
    again = _sensor(tmp_path, writer)
    (after,) = _told(again, 1)
    assert after.values == before[0].values
    again.close()


def test_an_entry_that_is_too_long_is_left_out(tmp_path: Path, writer: Writer) -> None:
    """It is counted, those after it are told, and no more is held in memory than may be."""
    sensor = _sensor(tmp_path, writer)
    writer.write("x" * 600_000, "after it")
    assert _messages(_told(sensor, 1)) == ["after it"]
    assert sensor.losses() == {"logs_cut": 1}
    sensor.close()


def test_a_reader_that_fails_is_said(tmp_path: Path) -> None:
    """A journal that cannot be read makes the module ill, with what journalctl says."""
    journal = Journal([], "", 1000, [f"--directory={tmp_path}/none"])
    deadline = time.monotonic() + WITHIN_S
    while not journal.trouble and time.monotonic() < deadline:
        assert list(journal.entries(lambda: True)) == []
        time.sleep(0.05)
    assert "No such file or directory" in journal.trouble
    health = Health("test")
    settings = LogSettings(syslog_files=(), files=())
    sensor = LogSensor(settings, tmp_path, journal=[f"--directory={tmp_path}/none"])
    for _ in range(3):
        sensor.read(_now_ms())
        time.sleep(0.3)
        sensor.read(_now_ms())
        sensor.tick(0, health)
    assert not health.snapshot().modules["logs"].healthy
    sensor.close()
