"""Text logs: every line once, whatever is done to the file, and across restarts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tocsin.agent.config import LogSettings
from tocsin.agent.logs import follow
from tocsin.agent.logs.sensor import LogSensor
from tocsin.agent.operate.health import Health
from tocsin.model.event import Event

SECOND_MS = 1000


class Host:
    """A folder of logs, and the sensor that follows one of them; time passes as the test says."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder, self.log = folder, folder / "auth.log"
        self.settings = LogSettings(
            journal=False,
            syslog_files=(),
            files=(str(self.log),),
            **settings,  # type: ignore[arg-type]
        )
        self.now_ms = time.time_ns() // 1_000_000
        self.sensor = LogSensor(self.settings, folder)

    def write(self, *texts: object, end: str = "\n") -> None:
        with self.log.open("a") as file:
            for text in texts:
                file.write(f"line {text}{end}")

    def told(self, polls: int = 3) -> list[Event]:
        events: list[Event] = []
        for _ in range(polls):
            self.now_ms += SECOND_MS
            events += self.sensor.read(self.now_ms)
        return events

    def lines(self, polls: int = 3) -> list[str]:
        told = [str(event.values["message"]) for event in self.told(polls)]
        self.sensor.spooled()
        return told

    def restart(self) -> None:
        self.sensor.close()
        self.sensor = LogSensor(self.settings, self.folder)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A log that was there before the agent, and what it said then."""
    (tmp_path / "auth.log").write_text("line old\n")
    host = Host(tmp_path)
    assert host.lines() == []
    return host


def test_what_comes_after_the_agent_is_told_once(host: Host) -> None:
    """What stood there before the first start is not told; what comes is, with file, offset and the line as it was."""
    host.write("1")
    with host.log.open("a") as file:
        file.write("<38>Nov  4 02:41:06 web1 sshd[77]: Failed password for root from 192.0.2.7 port 22 ssh2\n")
    first, second = host.told()
    assert (first.values["unmapped.log.file"], first.values["unmapped.log.offset"]) == (str(host.log), 9)
    assert second.class_uid == 3002
    assert second.values["src_endpoint.ip"] == "192.0.2.7"
    assert str(second.values["raw_data"]).startswith("<38>Nov  4 02:41:06 web1 sshd[77]: Failed")
    assert second.values["unmapped.log.host"] == "web1"
    assert "actor.process.pid" not in second.values  # another host's, and long ago
    assert host.lines() == []


def test_a_restart_goes_on_where_it_was(host: Host) -> None:
    """Lines that came while no agent ran are told, those that were spooled are not told again."""
    host.write("1", "2")
    assert host.lines() == ["line 1", "line 2"]
    host.sensor.close()
    host.write("3")
    host.restart()
    assert host.lines() == ["line 3"]


def test_what_was_not_spooled_is_told_again(host: Host) -> None:
    """A kill between reading and spooling loses nothing; the line has the same file and offset both times."""
    host.write("1")
    [before] = host.told()
    host.restart()
    [after] = host.told()
    keys = ("unmapped.log.file", "unmapped.log.offset", "message")
    assert [before.values[key] for key in keys] == [after.values[key] for key in keys]


def test_an_agent_killed_before_its_first_line_loses_none(tmp_path: Path) -> None:
    """Where a log was first met is kept at once, so that the next agent does not begin at what is its end by then."""
    (tmp_path / "auth.log").write_text("line old\n")
    host = Host(tmp_path)
    host.write("1", "2")
    host.restart()
    assert host.lines() == ["line 1", "line 2"]


def test_a_renamed_log_is_read_to_its_end(host: Host) -> None:
    """The old file under its new name, for as long as somebody writes to it, and the new one from its beginning."""
    host.write("1")
    assert host.lines() == ["line 1"]
    with host.log.open("a") as still_open:
        host.log.rename(host.folder / "auth.log.1")
        still_open.write("line 2\n")
        still_open.flush()
        host.write("3")
        assert sorted(host.lines()) == ["line 2", "line 3"]
        still_open.write("line 4\n")
    assert host.lines() == ["line 4"]


def test_a_log_renamed_while_no_agent_ran(host: Host) -> None:
    """Its rest is found under its new name by inode, though the pattern does not match that."""
    host.write("1")
    assert host.lines() == ["line 1"]
    host.sensor.close()
    host.write("2")
    host.log.rename(host.folder / "auth.log-20261124")
    host.write("3")
    host.restart()
    assert sorted(host.lines()) == ["line 2", "line 3"]
    assert host.sensor.losses() == {}


@pytest.mark.parametrize("running", [True, False])
def test_copied_and_truncated(host: Host, running: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """What came before the truncation is read from the copy, the rest from the beginning, even if it is longer."""
    host.write("1")
    assert host.lines() == ["line 1"]
    if not running:
        host.sensor.close()
    host.write("2")
    (host.folder / "auth.log.1").write_bytes(host.log.read_bytes())
    os.truncate(host.log, 0)
    host.write("a much longer line than there was before the truncation of this file", "4")
    if not running:
        host.restart()
    assert sorted(host.lines(6)) == [
        "line 2",
        "line 4",
        "line a much longer line than there was before the truncation of this file",
    ]
    assert host.sensor.losses() == {}


def test_a_rest_that_is_packed_is_counted(host: Host) -> None:
    """A log that was packed before its end was read cannot be told: it counts as gone."""
    host.write("1")
    assert host.lines() == ["line 1"]
    host.sensor.close()
    host.log.rename(host.folder / "auth.log.1.gz")
    host.write("2")
    host.restart()
    assert host.lines() == ["line 2"]
    assert host.sensor.losses() == {"logs_gone": 1}


def test_a_line_without_an_end_waits(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once it is whole; in a file that was renamed and is quiet, as it is."""
    host.write("1", end="")
    assert host.lines() == []
    with host.log.open("a") as file:
        file.write(" is whole\nline 2")
    assert host.lines() == ["line 1 is whole"]
    host.log.rename(host.folder / "auth.log.1")
    assert host.lines() == []
    monkeypatch.setattr(follow, "QUIET_S", 0.0)
    assert host.lines() == ["line 2"]
    host.restart()
    assert host.lines() == []
    assert host.sensor.losses() == {}


@pytest.mark.parametrize("length", [100, 101, 200, 99_999, 300_000])
def test_a_long_line_is_cut_and_counted(tmp_path: Path, length: int) -> None:
    """Its beginning is told, the rest passed over, also across a restart in the middle of it."""
    host = Host(tmp_path, max_line_bytes=100)
    host.write("x" * (length - len("line ")), "2")
    assert host.lines() == ["line " + "x" * 95, "line 2"]
    assert host.sensor.losses() == ({"logs_cut": 1} if length > 100 else {})
    with host.log.open("a") as file:
        file.write("y" * 150)
    assert host.lines() == ["y" * 100]
    host.restart()
    with host.log.open("a") as file:
        file.write("yyyy\nline 3\n")
    assert host.lines() == ["line 3"]


def test_more_than_may_be_read_waits_in_its_file(tmp_path: Path) -> None:
    """So many lines a second and no more; none is lost."""
    host = Host(tmp_path, max_lines_per_s=50)
    host.write(*range(100))
    assert len(first := host.lines(1)) == 50
    time.sleep(1.1)
    assert first + host.lines(1) == [f"line {number}" for number in range(100)]


def test_too_far_behind_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    """What is told and what is counted are together all lines."""
    host = Host(tmp_path, max_behind_bytes=1000, max_lines_per_s=100_000)
    host.write(*range(1000))
    told = host.lines(20)
    assert told[-1] == "line 999"
    assert len(told) + host.sensor.losses()["logs_behind"] == 1000


def test_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    """It is waited for, and read from its beginning; rubbish in it breaks nothing; a folder is no log."""
    host = Host(tmp_path)
    assert host.lines() == []
    host.log.write_bytes(b"\0\0\0line 1\n\xff\xfe\n\n  \nline 2\n")
    assert host.lines() == ["line 1", "\\xff\\xfe", "line 2"]
    health = Health("test")
    host.sensor.tick(0, health)
    assert health.snapshot().modules["logs"].healthy
    host.log.unlink()
    host.log.mkdir()
    host.lines()
    host.sensor.tick(0, health)
    assert "no regular file" in health.snapshot().modules["logs"].reason


def test_a_login_that_audit_tells_counts_once(host: Host) -> None:
    """The line is kept as a Base Event; one of another process, or of another outcome, is the login that it says."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    host.sensor.hear([Event(3002, {"time": host.now_ms, "status_id": 2, "actor.process.pid": 77})])
    with host.log.open("a") as file:
        for pid, outcome in ((77, "Failed"), (78, "Failed"), (77, "Accepted")):
            file.write(f"{now} localhost sshd[{pid}]: {outcome} password for root from 192.0.2.7 port 22 ssh2\n")
    told = host.told()
    assert [event.class_uid for event in told] == [0, 3002, 3002]
    assert "Failed password for root" in str(told[0].values["message"])
    assert told[0].values["status_detail"] == "told by the kernel's audit as well"
