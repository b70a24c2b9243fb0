"""Every field of real records, equal to what auparse, the reader of the audit project itself, reads from them."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.agent.audit.control import AuditControl
from tocsin.normalize.auditd.parse import parse_line
from tocsin.normalize.auditd.record import unescape

SYSTEM_PYTHON = "/usr/bin/python3"
READER = Path(__file__).with_name("auparse_fields.py")
KEY = "tocsin-oracle-test"
RULES = [
    f"-a always,exit -F arch=b64 -S execve -S connect -S openat -S unlinkat -S renameat2 -F auid!=4242 -k {KEY}",
    f"-a always,exit -F arch=b64 -S mount -S ptrace -F auid!=4242 -k {KEY} -k second",
]
CONFIGURATION = """
log_file = {log}
log_format = {form}
write_logs = yes
local_events = yes
flush = NONE
max_log_file_action = IGNORE
space_left = 2
admin_space_left = 1
space_left_action = IGNORE
admin_space_left_action = IGNORE
"""

Row = tuple[str, int, int, tuple[tuple[str, str], ...]]


@pytest.fixture(scope="session")
def auparse() -> None:
    """The system's bindings of auparse; an independent oracle, so its absence is said loudly."""
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import auparse"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("python3-audit is not installed: auparse was not compared")


def _theirs(log: Path) -> Counter[Row]:
    printed = subprocess.run([SYSTEM_PYTHON, str(READER), str(log)], capture_output=True, check=True, text=True).stdout
    return Counter(_row(*json.loads(line)) for line in printed.splitlines())


def _ours(log: Path) -> Counter[Row]:
    records = [parse_line(line) for line in log.read_bytes().splitlines()]
    # AUDIT_REPLACE has no header; auparse drops the line without a word.
    kept = [record for record in records if record.type != "REPLACE"]
    return Counter(
        _row(record.type, record.time_ms, record.serial, list(zip(record.keys, record.values, strict=True)))
        for record in kept
    )


def _row(kind: str, time_ms: int, serial: int, fields: list[tuple[str, str]]) -> Row:
    return kind, time_ms, serial, tuple(pair for name, value in fields for pair in _comparable(name, value))


def _comparable(name: str, value: str) -> list[tuple[str, str]]:
    """Where auparse is odd: it drops fields that are empty or that auditd added, and ..."""
    if not value or name.isupper():
        return []
    # ... gives several rule keys, which the kernel joins with a byte of value 1, as several fields, and ...
    if name == "key":
        return [(name, key) for key in value.split("\x01")]
    # ... cuts an operation of several words, op=adding user to group, at the first blank, and ...
    if name == "op":
        return [(name, value.partition(" ")[0])]
    # ... decodes the chunks of a long argument, which may cut a character in two; ours are decoded when joined.
    return [(name, unescape(value) if name.endswith("]") else value)]


def _assert_equal(log: Path) -> int:
    ours, theirs = _ours(log), _theirs(log)
    assert list((ours - theirs).elements())[:3] == list((theirs - ours).elements())[:3]
    assert ours == theirs
    return ours.total()


@pytest.mark.data
@pytest.mark.usefixtures("auparse")
def test_real_log_equals_auparse(public_data: Path) -> None:
    """Every record of a real RHEL 7 log has the type, time, serial and fields that auparse gives it."""
    assert _assert_equal(public_data / "audit/beats/filebeat/module/auditd/log/test/audit-rhel7.log") == 2328


def _auditctl(*arguments: str) -> str:
    return subprocess.run(["auditctl", *arguments], capture_output=True, check=True, text=True).stdout


def _owner() -> int:
    status = dict(line.split(maxsplit=1) for line in _auditctl("-s").splitlines() if " " in line)
    return int(status["pid"])


@pytest.fixture
def _kernel_rules(kernel_audit: AuditControl) -> Iterator[None]:
    """Our rules beside whatever rules there are; the kernel's audit is left as it was found."""
    found = kernel_audit.status()
    if found.pid:
        pytest.skip("another program owns the kernel's audit")
    for rule in RULES:
        _auditctl(*rule.split())
    yield
    for rule in RULES:
        _auditctl(*rule.replace("-a always", "-d always", 1).split())
    kernel_audit.set(enabled=found.enabled, backlog_limit=found.backlog_limit, failure=found.failure)


def _run_auditd(folder: Path, log: Path, form: str) -> subprocess.Popen[bytes]:
    folder.chmod(0o700)
    (folder / "plugins.d").mkdir()
    (folder / "auditd.conf").write_text(CONFIGURATION.format(log=log, form=form))
    auditd = subprocess.Popen(["auditd", "-n", "-c", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        if _owner() == auditd.pid:
            return auditd
        time.sleep(0.05)
    auditd.terminate()
    pytest.fail("auditd did not become the kernel's audit owner")


def _make_events(folder: Path) -> None:
    """Things whose records are hard to read: blanks, quotes, equal signs, other alphabets, long arguments, denials."""
    odd = folder / "a b=c 'd' \"e\" ü\n\t"
    odd.write_text("x")
    odd.rename(folder / "name=x item=0")
    (folder / "name=x item=0").unlink()
    for arguments in (["a=b", "", " ", '"', "'", "é\xff\n", "(null)", "ABCD"], ["x" * 9000, "ü" * 9000], ["z"] * 300):
        subprocess.run(["/bin/true", *arguments], check=True)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect_ex("\0abstract" + "x" * 20)
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as plain:
            plain.connect_ex((address, 9))
    subprocess.run(["mount", "-t", "nosuchfs", "none", str(folder)], capture_output=True, check=False)
    _auditctl("-m", "a message = 'from' \"user\" space")


@pytest.mark.root
@pytest.mark.usefixtures("auparse", "_kernel_rules")
@pytest.mark.parametrize("form", ["RAW", "ENRICHED"])
def test_capture_from_this_kernel_equals_auparse(tmp_path: Path, form: str) -> None:
    """What this machine's kernel says about awkward names and arguments is read as auparse reads it."""
    log = tmp_path / "audit.log"
    auditd = _run_auditd(tmp_path, log, form)
    try:
        _make_events(tmp_path)
        time.sleep(0.5)
    finally:
        auditd.terminate()
        auditd.wait(10)
    assert _assert_equal(log) > 100
    assert b"a1[1]=" in log.read_bytes()
