"""Capture what the kernel's audit says about one tree of processes, as lines of an audit.log."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from content.sandbox import SCRIPT, Sandbox
from tocsin.agent.audit.netlink import Record
from tocsin.agent.audit.rule_set import BASE_RULES, login_homes, read_rules
from tocsin.agent.audit.session import AuditSession, Limits
from tocsin.normalize.auditd import AuditRecord, parse_line
from tocsin.normalize.auditd.tables import record_type

__all__ = ["capture", "holding"]

QUIET_S: Final = 0.4


@contextlib.contextmanager
def holding(lock: Path | None) -> Iterator[None]:
    """Hold a lock file, so that two captures on one machine wait for each other."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def capture(
    box: Sandbox,
    script: str,
    before: str = "",
    *,
    own_pids: bool = True,
    visitor: tuple[Sandbox, str] | None = None,
    limit_s: float = 40,
) -> list[bytes]:
    """The audit.log of a script's processes, under the agent's own rules; the kernel's audit is left as it was found.

    Starts with the script itself: how the sandbox was made is left out, and so is everything else on this machine. Ends
    of events (EOE) are kept, which auditd leaves out: without PROCTITLE they alone say when an event is whole.
    """
    rules = read_rules([BASE_RULES], login_homes(box.root / "etc" / "passwd")).rules
    # The session keeps its state in the working directory, which stays outside when the root folder changes.
    with tempfile.TemporaryDirectory() as state, contextlib.chdir(state):
        session = AuditSession.start(Path(), Limits(backlog_records=32768, backlog_wait_jiffies=6000))
        try:
            if not session.owner:
                raise SystemExit("another audit daemon owns the kernel's audit; stop it to record")
            with box.entered():
                session.load(rules)
            if session.refused:
                raise SystemExit(f"the kernel refused {session.refused}")
            process = box.start(script, before, own_pids=own_pids)
            with _visiting(process, visitor):
                records = _until_quiet(session, process, limit_s)
        finally:
            session.stop()
    lines = list(_of_tree([(line, parse_line(line)) for line in map(_line, records)]))
    if not lines:
        raise SystemExit("the script did not start: what prepares it has failed")
    return lines


@contextlib.contextmanager
def _visiting(process: subprocess.Popen[bytes], visitor: tuple[Sandbox, str] | None) -> Iterator[None]:
    """Another sandbox's script runs in the network of the recorded one, and is not recorded itself."""
    if visitor is None:
        yield
        return
    guest, script = visitor
    visiting = guest.visit(process, script)
    try:
        yield
    finally:
        visiting.kill()
        visiting.wait()


def _until_quiet(session: AuditSession, process: subprocess.Popen[bytes], limit_s: float) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + limit_s
    while process.poll() is None:
        records += session.receiver.receive(0.1)
        if time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"still running after {limit_s} s")
    quiet_at = time.monotonic() + QUIET_S
    while time.monotonic() < quiet_at:
        records += session.receiver.receive(0.1)
    return records


def _line(record: Record) -> bytes:
    """As auditd writes it."""
    kind, text = record
    return f"type={record_type(kind)} msg=".encode() + text


def _of_tree(lines: Sequence[tuple[bytes, AuditRecord]]) -> Iterator[bytes]:
    """The lines of the events of the script's process, its descendants and the sessions that they log in, in order."""
    family: set[int] = set()
    sessions: set[str] = set()
    ours: set[int] = set()
    for _, record in lines:
        pid = _number(record, "pid")
        if not family and record.type == "EXECVE" and list(record.values[1:]) == ["bash", SCRIPT]:
            family.add(_pid_of(record.serial, lines))
            ours.add(record.serial)
        elif family and pid is not None and _is_related(record, pid, family, sessions):
            family.add(pid)
            ours.add(record.serial)
            if record.type == "LOGIN":
                sessions.add(record.get("ses"))
    for line, record in lines:
        if record.serial in ours:
            yield line


def _is_related(record: AuditRecord, pid: int, family: set[int], sessions: set[str]) -> bool:
    # A daemon that has done nothing since it forked is unknown, and so are its children, but for their session.
    return pid in family or _number(record, "ppid") in family or record.get("ses") in sessions


def _pid_of(serial: int, lines: Iterable[tuple[bytes, AuditRecord]]) -> int:
    return next(int(r.get("pid")) for _, r in lines if r.serial == serial and r.type == "SYSCALL")


def _number(record: AuditRecord, key: str) -> int | None:
    text = record.get(key)
    return int(text) if text.isdecimal() else None
