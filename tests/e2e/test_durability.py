"""What an acknowledgement is worth: the real server under a system-call trace, and on a disk that fills up."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.model import wire
from tocsin.model.event import Event
from tocsin.state.engine import open_state
from tocsin.testing import Installation, installed, wait_for
from tocsin.wiring.processes.first_start import make_enrolment_token

DISK_BYTES = 48 * 1024 * 1024
ROWS = 50


class Sender:
    """An enrolled agent that posts one batch after another over one connection."""

    def __init__(self, installation: Installation) -> None:
        parts = urlsplit(installation.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._key = Ed25519PrivateKey.generate()
        engine = open_state(f"sqlite:///{installation.data_dir / 'state.db'}")
        token = make_enrolment_token(engine, "default", uses=1, hours=1, now_ms=time.time_ns() // 1_000_000)
        engine.dispose()
        public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()
        _, answer = self._post("/ingest/enroll", json.dumps({"token": token, "public_key": public, "hostname": "h"}))
        self._position = wire.ChainPosition(answer["org"], answer["agent_id"], "boot", 1, 0, b"")

    def send(self, ballast_bytes: int = 0) -> tuple[int, dict[str, str]]:
        """Post the next batch; if it is not taken, the next call posts it again."""
        now = time.time_ns() // 1_000_000
        texts = [os.urandom(ballast_bytes // ROWS // 2).hex() for _ in range(ROWS)]
        events = [Event(1007, {"time": now, "activity_id": 1, "process.cmd_line": text}) for text in texts]
        payload, batch_hash = wire.seal(wire.encode_sections(events), self._position, self._key, created_at=now)
        status, answer = self._post("/ingest/batch", payload)
        if status == 200:
            self._position = self._position.after(batch_hash)
        return status, answer

    def close(self) -> None:
        self._connection.close()

    def _post(self, path: str, body: bytes | str) -> tuple[int, dict[str, str]]:
        self._connection.request("POST", path, body)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())


def gateway_of(installation: Installation) -> int:
    """The process that takes batches."""
    children = Path(f"/proc/{installation.process.pid}/task/{installation.process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes())


@contextmanager
def traced(pid: int, trace: Path) -> Iterator[None]:
    """Write the process's syncs and all that it sends to a file."""
    strace = shutil.which("strace")
    if strace is None:
        if os.environ.get("CI"):
            pytest.fail("strace is missing; CI must have it")
        pytest.skip("strace is missing: install it to prove that answers follow syncs")
    calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg"
    command = [strace, "-f", "-yy", "-s", "64", "-e", calls, "-o", str(trace), "-p", str(pid)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "attached" in process.stderr.readline()
        yield
    finally:
        process.terminate()
        process.wait(10)
        if process.stderr:
            process.stderr.close()


@pytest.mark.root
def test_the_server_answers_after_the_sync(tmp_path: Path) -> None:
    """In the gateway's own system calls, the log's sync has returned before the answer to a batch is written."""
    trace = tmp_path / "trace"
    with installed(tmp_path, "--no-agent") as installation:
        sender = Sender(installation)
        assert sender.send()[0] == 200
        with traced(gateway_of(installation), trace):
            for _ in range(3):
                assert sender.send()[0] == 200
        sender.close()
    rounds = re.split(r'(?m)^.*"HTTP/1\.1 200.*$', trace.read_text())
    assert len(rounds) == 4
    for before_answer in rounds[:3]:
        syncing: dict[str, str] = {}
        synced = []
        for line in before_answer.splitlines():
            thread = line.partition(" ")[0]
            if re.search(r"f(data)?sync\(", line):
                syncing[thread] = line
            if re.search(r"sync(\(| resumed).*= 0$", line):
                synced.append(syncing[thread])
        assert any("log.db-wal" in call for call in synced)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own on that folder."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Use up what room there is."""
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(64 * 1024))
            except OSError:
                return


@pytest.mark.root
@pytest.mark.timeout(180)
def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """On a full disk batches are answered 503 and why; with room again, all that was acknowledged is in the lake."""
    with (
        small_disk(tmp_path / "data"),
        installed(tmp_path, "--no-agent", settings="lake_flush_s = 1\n") as installation,
    ):
        sender, ballast = Sender(installation), installation.data_dir / "ballast"
        taken = sum(sender.send()[0] == 200 for _ in range(20))
        assert taken == 20
        fill(ballast)
        refused = []
        for _ in range(60):
            status, answer = sender.send(ballast_bytes=400_000)
            taken += status == 200
            refused += [(status, answer)] if status != 200 else []
            fill(ballast.with_suffix(".more"))
        assert {status for status, _ in refused} == {503}
        assert {answer["title"] for _, answer in refused} == {"OutOfSpace"}
        assert "no room on the disk" in refused[-1][1]["detail"]
        for file in installation.data_dir.glob("ballast*"):
            file.unlink()

        def send_again() -> bool:
            return sender.send()[0] == 200

        wait_for(send_again, 30, "a batch is taken when there is room again")
        taken += 1
        sender.close()

        def stored() -> int:
            return int(installation.tocsin("search", "--count", "--last", "1d").stdout or "-1")

        wait_for(lambda: stored() == taken * ROWS, 60, f"{taken * ROWS} events found")
        wait_for(lambda: list(installation.data_dir.rglob("*.parquet")), 30, "files in the lake")
