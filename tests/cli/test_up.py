"""`tocsin up` as a person starts it, and what it says when it cannot."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tocsin.testing import free_port, installed

pytestmark = pytest.mark.slow


def up(data_dir: Path, port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tocsin.cli", "up", "--no-agent", "--data-dir", str(data_dir), "--port", str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_taken_port_ends_it_before_anything_starts(tmp_path: Path) -> None:
    """Whoever listens there already is never taken for our own server."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = up(tmp_path / "data", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"tocsin: port {port} of 127.0.0.1 is taken; choose another with --port\n"


def test_one_server_per_folder_and_commands_know_its_address(tmp_path: Path) -> None:
    """A second `up` is told the pid of the first; the printed token names the port that `up` was told."""
    with installed(tmp_path, "--no-agent") as installation:
        second = up(installation.data_dir, free_port())
        assert second.returncode == 2
        assert f"in use by process {installation.process.pid}" in second.stderr
        token = installation.tocsin("agent", "token")
        assert f"--server {installation.url} " in token.stdout
        assert "for this host only" in token.stderr


@pytest.mark.parametrize("file", ["log.db", "state.db"])
def test_a_broken_file_ends_it_with_a_sentence(tmp_path: Path, file: str) -> None:
    """What cannot work is not tried for ever."""
    (tmp_path / file).write_bytes(b"no database at all" * 1000)
    done = up(tmp_path, free_port())
    assert done.returncode in (2, 3)
    assert file in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_shows_the_greeting_alone(tmp_path: Path) -> None:
    """No log lines, and after Ctrl-C no tracebacks and no words of libraries."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tocsin.cli", "up", "--no-agent", "--data-dir", str(tmp_path)]
    process = subprocess.Popen(
        [*command, "--port", str(free_port())], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    with closing(os.fdopen(ours, "rb", buffering=0)) as terminal:
        shown = terminal.read(65536)
        while b"agent" not in shown:
            shown += terminal.read(65536)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(40) == 0
        try:
            while more := terminal.read(65536):
                shown += more
        except OSError:
            pass  # how a terminal ends
    assert not [word for word in (b"listening", b"leaked", b"Traceback", b"process ended") if word in shown], shown


def test_parts_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    """Kill -9 of `tocsin up` alone leaves nobody behind: it can be started again at once, on the same port."""
    port = free_port()
    command = [sys.executable, "-m", "tocsin.cli", "up", "--no-agent", "--json", "--port", str(port)]
    command += ["--data-dir", str(tmp_path)]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            assert str(port) in process.stdout.readline()
            process.kill()
