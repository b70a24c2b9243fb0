"""Files watched by the whole agent: what fanotify and audit tell is one event, with who did it and the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.receiving import Server
from agent.test_run import running
from tocsin.agent.audit.control import AuditControl
from tocsin.agent.operate.health import Report, read_report
from tocsin.model.event import Event, Value
from tocsin.model.schema import CLASSES

pytestmark = pytest.mark.root

CREATE, UPDATE, DELETE, RENAME, ATTRIBUTES, OPEN = 1, 3, 4, 5, 6, 14
FILE_ACTIVITY = 1001


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to be watched, with a file."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "known").write_text("before\n")
    return folder


def _settings(place: Path, more: str = "") -> str:
    return f"[files]\npaths = {json.dumps([str(place)])}\n{more}\n"


def _report(state: Path) -> Report:
    report = read_report(state)
    assert report is not None
    return report


def _until(condition: Callable[[], object], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def _watching(state: Path) -> bool:
    module = _report(state).modules.get("files")
    return module is not None and module.healthy and "files known" in module.reason and "compared" not in module.reason


def _of(server: Server, place: Path) -> Iterator[dict[str, Value]]:
    """What arrived about the folder, as attributes."""
    for event in list(server.events):
        if event.class_uid == FILE_ACTIVITY and str(event.values.get("file.path", "")).startswith(f"{place}/"):
            yield event.attributes()


def _in_short(server: Server, place: Path) -> list[tuple[object, object]]:
    return [(values["activity_id"], values["file.name"]) for values in _of(server, place)]


def test_a_change_is_one_event_with_who_and_what(kernel_audit: AuditControl, place: Path, tmp_path: Path) -> None:
    """A program that is gone at once is named with user, session, executable and parent; the content by its hash."""
    assert kernel_audit.status().pid == 0
    server, state = Server(), tmp_path / "state"
    with server.listening(), running(server, state, _settings(place)):
        _until(lambda: _watching(state))
        writer = subprocess.Popen(["/bin/sh", "-c", "echo after > known"], cwd=place)
        writer.wait()
        _until(lambda: _in_short(server, place) == [(UPDATE, "known")])
        time.sleep(0.6)  # what is held of audit would have left by now
    (values,) = _of(server, place)
    assert (values["activity_id"], values["file.path"]) == (UPDATE, str(place / "known"))
    assert values["metadata.event_code"] in {"open", "openat"}
    assert values["unmapped.audit.serial"]
    assert values["actor.process.pid"] == writer.pid
    assert values["actor.process.file.path"] == os.path.realpath("/bin/sh")
    assert values["actor.user.name"] == "root"
    assert values["actor.process.parent_process.pid"] == os.getpid()
    assert values["unmapped.file.prior_size"] == 7
    assert values["unmapped.file.prior_hash"]
    assert "file.hashes" in values
    (event,) = (event for event in server.events if event.values.get("file.path") == str(place / "known"))
    assert [record.type for record in event.records][:1] == ["SYSCALL"]
    assert event.values.keys() <= CLASSES[FILE_ACTIVITY].paths
    assert not [rule for rule in kernel_audit.rules() if os.fsencode(place) in rule]


def test_every_operation_by_a_shell_arrives_once(kernel_audit: AuditControl, place: Path, tmp_path: Path) -> None:
    """Created, appended to, made executable, given away, linked, renamed, saved by an editor, removed; and locked."""
    assert kernel_audit.status().pid == 0
    server, state = Server(), tmp_path / "state"
    steps = [
        ("echo a > new", [(CREATE, "new")]),
        ("echo b >> new", [(UPDATE, "new")]),
        ("chmod 4755 new", [(ATTRIBUTES, "new")]),
        ("chown nobody new", [(ATTRIBUTES, "new")]),
        ("sed -i s/before/between/ known", [(UPDATE, "known")]),
        ("mv new moved", [(RENAME, "new")]),
        ("ln -s known link", [(CREATE, "link")]),
        ("mkdir inner", [(CREATE, "inner")]),
        ("flock known true", []),
        ("rm moved", [(DELETE, "moved")]),
        ("rmdir inner", [(DELETE, "inner")]),
        ("rm link", [(DELETE, "link")]),
    ]
    told: list[tuple[object, object]] = []
    with server.listening(), running(server, state, _settings(place)):
        _until(lambda: _watching(state))
        for command, expected in steps:
            subprocess.run(["/bin/sh", "-c", command], cwd=place, check=True)
            time.sleep(0.5)
            told += expected
    assert [one for one in _in_short(server, place) if one[0] != OPEN] == told
    for values in _of(server, place):
        assert values["metadata.log_name"] == "auditd"
        assert values["actor.process.name"] in {"sh", "chmod", "chown", "sed", "mv", "ln", "mkdir", "rm", "rmdir"}
        assert values["unmapped.file.detected"] == "live"


def test_changes_while_the_agent_is_off_arrive_at_its_next_start(
    kernel_audit: AuditControl, place: Path, tmp_path: Path
) -> None:
    """They are marked; what was told before is not told again."""
    assert kernel_audit.status().pid == 0
    server, state = Server(), tmp_path / "state"
    with server.listening() as _:
        with running(server, state, _settings(place)) as agent:
            _until(lambda: _watching(state))
            (place / "seen").write_text("x")
            _until(lambda: _in_short(server, place) == [(CREATE, "seen")])
            time.sleep(1.5)  # what is known is kept once a second
        (place / "known").write_text("while it was away")
        (place / "seen").unlink()
        with running(server, state, _settings(place)):
            _until(lambda: len(_in_short(server, place)) == 3)
        assert agent.returncode == 0
    away = list(_of(server, place))[1:]
    assert sorted((values["activity_id"], values["file.name"]) for values in away) == [
        (UPDATE, "known"),
        (DELETE, "seen"),
    ]
    assert {values["unmapped.file.detected"] for values in away} == {"while_away"}


def test_what_audit_does_not_see_is_told_by_fanotify_alone(
    kernel_audit: AuditControl, place: Path, tmp_path: Path
) -> None:
    """A process that had the file open before is named from /proc, with user and executable."""
    assert kernel_audit.status().pid == 0
    server, state = Server(), tmp_path / "state"
    script = "import sys; f = open(sys.argv[1], 'a'); print(flush=True); input(); f.write('x'); f.flush(); input()"
    writer = subprocess.Popen(
        [sys.executable, "-c", script, place / "known"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdout.readline()
    with server.listening(), running(server, state, _settings(place)):
        _until(lambda: _watching(state))
        writer.stdin.write(b"\n")
        writer.stdin.flush()
        _until(lambda: _in_short(server, place) == [(UPDATE, "known")])
        writer.communicate(b"\n")
    values = next(_of(server, place))
    assert values["metadata.log_name"] == "fanotify"
    assert values["actor.process.pid"] == writer.pid
    assert values["actor.process.file.path"] == os.path.realpath(sys.executable)
    assert values["actor.user.name"] == "root"
    assert values["actor.process.uid"]
    event: Event = next(event for event in server.events if event.values.get("metadata.log_name") == "fanotify")
    assert event.attributes().keys() <= CLASSES[FILE_ACTIVITY].paths | {"device.uid"}


@pytest.mark.slow
def test_a_busy_folder_loses_nothing_unseen(kernel_audit: AuditControl, place: Path, tmp_path: Path) -> None:
    """20,000 files in a few seconds: each is told, live or after an overflow that is counted, and records too."""
    assert kernel_audit.status().pid == 0
    server, state = Server(), tmp_path / "state"
    count = 20_000
    with server.listening(), running(server, state, _settings(place, "hash_bytes_per_s = 1000000")):
        _until(lambda: _watching(state))
        for number in range(count):
            (place / f"{number}").write_bytes(b"x" * 4096)
        _until(lambda: len({name for _, name in _in_short(server, place)}) >= count, 90)
        report = _report(state)
    names = [name for _, name in _in_short(server, place)]
    assert len(set(names)) == count
    assert report.modules["files"].healthy
    # Twice only what is told after an overflow as well, or while audit was behind.
    assert len(names) <= count * 1.05 or report.counters["files_overflow"]
