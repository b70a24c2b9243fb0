"""The commands as a person types them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tocsin.testing import installed

RECORD = (
    "type=SYSCALL msg=audit(1700000000.100:7): arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=2 "
    'ppid=10 pid=11 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm="id" '
    'exe="/usr/bin/id" key="exec"\n'
    'type=EXECVE msg=audit(1700000000.100:7): argc=2 a0="id" a1="-u"\n'
    "type=EOE msg=audit(1700000000.100:7): \n"
)
RULE = """
title: Identity asked
id: 44444444-0000-4000-8000-000000000001
logsource: {product: linux, category: process_creation}
detection:
  selection: {Image|endswith: /id}
  condition: selection
"""


def tocsin(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tocsin.cli", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)


def test_events_reads_standard_input_and_names_bad_lines() -> None:
    """Raw records in, OCSF out; a line that cannot be read is named, and the exit code says so."""
    done = tocsin("events", "-", "--source", "auditd", stdin=RECORD + "type=SYSCALL msg=garbage\n")
    assert done.returncode == 1
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["process"]["cmd_line"] == "id -u"
    assert "-:4: " in done.stderr


def test_a_packed_file_is_read_and_a_torn_one_named(tmp_path: Path) -> None:
    """Rotated logs and CloudTrail files are gzip; one that was cut off is named in one sentence."""
    log = tmp_path / "audit.log.1.gz"
    log.write_bytes(gzip.compress(RECORD.encode()))
    done = tocsin("events", str(log))
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stderr
    log.write_bytes(log.read_bytes()[:-20])
    torn = tocsin("events", str(log))
    assert (torn.returncode, len(torn.stderr.splitlines())) == (2, 1), torn.stderr
    assert "not whole as a gzip file" in torn.stderr


def test_a_wrong_file_is_refused_briefly(tmp_path: Path) -> None:
    """A program taken for a log gives a short answer that does no harm to the terminal."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF\x1b[2J\xff\n" * 40)
    done = tocsin("events", str(program), "--source", "auditd")
    assert done.returncode == 1
    *told, more, last = done.stderr.splitlines()
    assert len(told) == 10
    assert (more, last) == ("... 30 more", "tocsin: 40 lines could not be read")
    assert "\x1b" not in done.stderr
    one = tocsin("events", "-", "--source", "auditd", stdin="nonsense\n")
    assert one.stderr.endswith("tocsin: 1 line could not be read\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["events", "no-such-file"], "no-such-file: No such file or directory"),
        (["events", "-", "--source", "auditdd"], "'auditdd' is not known; known are auto, auditd"),
        (["alerts", "list", "--data-dir", "/nonexistent"], "start it with `tocsin up`"),
        (["rules", "check", "no-such-file"], "no-such-file: no such file or folder"),
        (["up", "--config", "no-such.toml"], "no-such.toml: no such file"),
        (["serve", "gatewayy"], "'gatewayy' is no part of Tocsin"),
    ],
)
def test_a_wrong_call_gets_one_sentence(arguments: list[str], said: str) -> None:
    """What is wrong is said in one line on standard error, with exit code 2 and no traceback."""
    done = tocsin(*arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert said in done.stderr


@pytest.mark.slow
def test_rules_run_finds_and_check_names_file_and_line(tmp_path: Path) -> None:
    """A rule of one's own runs over a log; a field that cannot exist is reported with file and line."""
    good, bad, log = tmp_path / "good.yml", tmp_path / "bad.yml", tmp_path / "audit.log"
    good.write_text(RULE)
    bad.write_text(RULE.replace("Image|endswith", "Imagge|endswith"))
    log.write_text(RECORD)
    done = tocsin("rules", "run", "--rules", str(good), "--source", "auditd", str(log))
    (finding,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert finding["rule"]["id"] == "44444444-0000-4000-8000-000000000001"
    checked = tocsin("rules", "check", str(bad))
    assert checked.returncode == 1
    assert f"{bad}:6: error: " in checked.stdout
    bad.write_text(RULE.replace("id: 44444444-0000-4000-8000-000000000001", "id: 5"))
    assert f"{bad}:3: error: id must be a text, not 5" in tocsin("rules", "check", str(bad)).stdout


def test_a_damaged_database_is_one_sentence(tmp_path: Path) -> None:
    """A state that is damaged is said in one line."""
    (tmp_path / "state.db").write_bytes(bytes(range(256)) * 64)
    damaged = tocsin("alerts", "list", "--data-dir", str(tmp_path))
    assert (damaged.returncode, len(damaged.stderr.splitlines())) == (2, 1), damaged.stderr


@pytest.mark.slow
def test_lines_sent_with_a_token_are_searched(tmp_path: Path) -> None:
    """A program gets a token on the server, sends lines, and finds them by SQL."""
    with installed(tmp_path, "--no-agent") as installation:
        refused = installation.tocsin("token")
        assert refused.returncode == 2
        assert "log in to the console first" in refused.stderr
        installation.log_in("ada", "correct horse battery")
        token = installation.tocsin("token").stdout.strip()
        answer = installation.post("/ingest/events?source=auditd&origin=lab", RECORD.encode(), token)
        assert answer == {"accepted": 1, "refused": 0, "problems": []}
        found = installation.tocsin("search", "process.name = 'id'", "--last", "2000w", "--json")
        assert json.loads(found.stdout)["process"]["cmd_line"] == "id -u"
