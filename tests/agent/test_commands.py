"""The agent's commands, as a person runs them."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from agent.receiving import Server
from tocsin.agent.main import main
from tocsin.agent.operate.alone import alone
from tocsin.agent.operate.health import COUNTERS, Health, Module
from tocsin.agent.operate.told import Told


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Options that keep a command away from this machine's own agent."""
    return ["--state-dir", str(tmp_path / "state"), "--config", str(tmp_path / "agent.toml")]


def test_enrolment_keeps_the_key_on_the_host(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token buys the names the server gives; the private key is for root alone and is made once."""
    server = Server()
    with server.listening():
        assert main(["enroll", "--server", server.url, "--token", "good", *arguments]) == 0
        assert main(["enroll", "--server", server.url, "--token", "good", *arguments]) == 0
    assert "enrolled as agent a1 of acme" in capsys.readouterr().out
    key = tmp_path / "state" / "agent.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    first, second = server.enrolments
    assert first["public_key"] == second["public_key"]
    host = first["host"]
    assert isinstance(host, dict)
    assert host["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert key.read_bytes() not in json.dumps(first).encode()


@pytest.mark.parametrize(
    ("server_url", "reason"),
    [
        ("", "the enrolment token is unknown, expired or used up"),
        ("http://127.0.0.1:9", "did not answer"),
        ("tocsin.example", "is not the URL of a server"),
    ],
)
def test_a_failed_enrolment_says_why_in_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str], server_url: str, reason: str
) -> None:
    """No traceback, and exit code 1."""
    server = Server()
    with server.listening():
        assert main(["enroll", "--server", server_url or server.url, "--token", "bad", *arguments]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_an_agent_that_is_not_enrolled_says_how_to(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Running without a key names the command that makes one."""
    assert main(["run", *arguments]) == 1
    assert "run `tocsin agent enroll" in capsys.readouterr().err


def test_a_second_agent_leaves_the_state_alone(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence names the process that holds the folder, with exit code 2; the folder is free afterwards."""
    server = Server()
    with server.listening():
        main(["enroll", "--server", server.url, "--token", "good", *arguments])
    capsys.readouterr()
    with alone(tmp_path / "state"):
        assert main(["run", *arguments]) == 2
    said = f"tocsin-agent: an agent (process {os.getpid()}) already runs with {tmp_path / 'state'}\n"
    assert capsys.readouterr().err == said
    with alone(tmp_path / "state"):
        assert (tmp_path / "state" / "agent.lock").read_text() == f"{os.getpid()}\n"


def test_an_agent_that_follows_a_killed_one_waits_for_its_child(tmp_path: Path) -> None:
    """A child that dies a moment after the agent holds the folder so long; the next agent starts nevertheless."""
    file = os.open(tmp_path / "agent.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    child = threading.Timer(0.3, os.close, [file])
    child.start()
    with alone(tmp_path):
        assert (tmp_path / "agent.lock").read_text() == f"{os.getpid()}\n"
    child.join()


def test_an_authority_that_is_not_there_is_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped --ca is named."""
    call = ["enroll", "--server", "https://t.example", "--token", "t", "--ca", "/no/such.pem", *arguments]
    assert main(call) == 1
    assert capsys.readouterr().err == "tocsin-agent: /no/such.pem: No such file or directory\n"


def test_only_a_change_of_health_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A module that falls ill is named once with its reason, and once when it is well again."""
    told, ill = Told(), Module(healthy=False, reason="the server answered 503")
    for module in (Module(healthy=True), ill, ill, Module(healthy=True), Module(healthy=True)):
        told.changes({"ship": module})
    said = "tocsin-agent: ship is ILL: the server answered 503\ntocsin-agent: ship is well again\n"
    assert capsys.readouterr().err == said


def test_status_tells_running_and_well_apart(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 for not running, 1 for unhealthy with the module and its reason, 0 for healthy."""
    state = tmp_path / "state"
    state.mkdir()
    assert main(["status", *arguments]) == 2
    health = Health("9.9")
    health.well("audit", "owner of the kernel's audit")
    health.ill("ship", "the server answered 503")
    health.count("records", 12)
    health.write(state)
    assert main(["status", *arguments]) == 1
    shown = capsys.readouterr().out
    assert "ship    ILL    the server answered 503" in shown
    assert all(counter in shown for counter in COUNTERS)
    health.shipped(3)
    health.write(state)
    assert main(["status", "--json", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["running"], report["healthy"], report["counters"]["records"]) == (True, True, 12)


def test_a_report_that_is_old_or_of_a_dead_process_means_not_running(arguments: list[str], tmp_path: Path) -> None:
    """A report is only believed while its writer lives and writes."""
    state = tmp_path / "state"
    state.mkdir()
    Health("9.9").write(state)
    path = state / "health.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps(report | {"written_at": int(time.time() * 1000) - 60_000}))
    assert main(["status", *arguments]) == 2
    path.write_text(json.dumps(report | {"pid": 4_194_305}))
    assert main(["status", *arguments]) == 2
    path.write_text("{")
    assert main(["status", *arguments]) == 2


@pytest.mark.root
def test_the_doctor_names_what_is_wrong(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each check stands alone: a key that others can read, a bad rule and a server that is away are all named."""
    server = Server()
    with server.listening():
        main(["enroll", "--server", server.url, "--token", "good", *arguments])
    (tmp_path / "state" / "agent.key").chmod(0o644)
    rules = tmp_path / "own.rules"
    rules.write_text("-a always,exit -F colour=red\n")
    (tmp_path / "agent.toml").write_text(f'[audit]\nrules = ["{rules}"]\n')
    capsys.readouterr()
    assert main(["doctor", "--json", *arguments]) == 1
    findings = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["root"]["healthy"] is (os.geteuid() == 0)
    assert findings["redaction"]["healthy"] is True
    assert "can be read by others" in findings["identity"]["reason"]
    assert "own.rules:1: colour is not a field" in findings["rules"]["reason"]
    assert "did not answer" in findings["server"]["reason"]
    assert "not running" in findings["running"]["reason"]
