"""The installer and the packages: what the server offers to hosts that have no agent yet."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tocsin.ingest.installing import Packages, installing_routes

URL = "https://tocsin.example:8321"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Packages of two versions, and what is none."""
    for name in ("tocsin-agent_0.9.0_amd64.deb", "tocsin-agent_0.10.0_amd64.deb", "tocsin-agent-0.10.0-1.x86_64.rpm"):
        (tmp_path / name).write_text(name)
    (tmp_path / "tocsin-agent.txt").write_text("notes")
    return tmp_path


@pytest.fixture
def client(folder: Path) -> TestClient:
    """A server that offers them."""
    return TestClient(Starlette(routes=list(installing_routes(folder, URL))))


def _run(script: str, *arguments: str, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-s", "--", *arguments]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False, env={"PATH": path})


def test_the_newest_package_of_each_machine_is_offered(client: TestClient) -> None:
    """0.10 is newer than 0.9, and amd64 is what the kernel calls x86_64."""
    assert client.get("/packages/deb/x86_64").text == "tocsin-agent_0.10.0_amd64.deb"
    assert client.get("/packages/rpm/x86_64").text == "tocsin-agent-0.10.0-1.x86_64.rpm"
    missing = client.get("/packages/deb/aarch64")
    assert (missing.status_code, missing.json()["detail"]) == (404, "there is no deb of the agent for aarch64")


def test_the_installer_knows_server_and_packages(client: TestClient) -> None:
    """It says where from and with which SHA-256, and is a script that a shell takes."""
    script = client.get("/install.sh").text
    assert f"SERVER='{URL}'" in script
    expected = hashlib.sha256(b"tocsin-agent_0.10.0_amd64.deb").hexdigest()
    assert f"deb x86_64 {expected}" in script
    assert "@PACKAGES@" not in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_a_package_that_is_exchanged_has_another_sum(folder: Path) -> None:
    """The sum is that of the file as it is now."""
    packages, path = Packages(folder), folder / "tocsin-agent_0.10.0_amd64.deb"
    before = packages.sha256(path)
    path.write_text("another content")
    assert packages.sha256(path) == hashlib.sha256(b"another content").hexdigest() != before


def test_without_a_folder_nothing_is_offered(folder: Path) -> None:
    """By default, and where the URL could break out of the script's quotes, there are no routes."""
    assert installing_routes(None, URL) == []
    assert installing_routes(folder, "https://host'; rm -rf / #") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--token TOKEN is missing"),
        (["--token"], "--token wants the token"),
        (["--tokens", "x"], "unknown argument --tokens"),
    ],
)
def test_wrong_use_is_said_in_a_sentence(client: TestClient, arguments: list[str], said: str) -> None:
    """Exit code 2, one line, nothing done."""
    done = _run(client.get("/install.sh").text, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_half_a_script_does_nothing(client: TestClient) -> None:
    """A download that breaks off has defined functions at most."""
    script = client.get("/install.sh").text
    half = script[: script.rindex("main ")]
    done = _run(half, "--token", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
