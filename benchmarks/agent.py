"""CPU per 1,000 events, records lost and memory of the agent, beside auditd and auditd with laurel, in one run.

    sudo .venv/bin/python benchmarks/agent.py [ROUNDS]

Every collector gets the same load: UDP connects at 4,000 a second, then programs started at 300 a second. auditd runs
as Debian configures it (log_format ENRICHED) and with log_format RAW, and ENRICHED with laurel behind it. Each has its
usual records first: our rules without those that keep the kernel from writing records that our agent does not need
(PROCTITLE and a few). The rows "fewer records" have exactly our rules, which is what auditd would cost if somebody
tuned it so. CPU is the scheduler's own count, in nanoseconds, of all threads of the collector's processes; of several
rounds the median. A busy machine makes all of them dearer, and noisy: compare the rows of one run.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector import Collector, server, tocsin
from report import table
from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.netlink import KernelRefused
from tocsin.agent.audit.rule_fields import FILTERS
from tocsin.agent.audit.rule_set import BASE_RULES, login_homes, read_rules

CONNECTS, CONNECT_RATE = 24_000, 4_000
EXECS, EXEC_RATE = 1_800, 300
SETTLE_S = 2.0


@dataclass(frozen=True)
class Peer:
    """A way to run auditd. `usual_records`: without our rules that exclude records."""

    name: str
    log_format: str
    usual_records: bool
    laurel: bool = False


# Our agent by its settings.
OURS = {"tocsin agent": "", "tocsin agent, eBPF": "[ebpf]\nenabled = true\n"}
PEERS = (
    Peer("auditd RAW", "RAW", usual_records=True),
    Peer("auditd ENRICHED (Debian's default)", "ENRICHED", usual_records=True),
    Peer("auditd and laurel", "ENRICHED", usual_records=True, laurel=True),
    Peer("auditd RAW, fewer records", "RAW", usual_records=False),
    Peer("auditd ENRICHED, fewer records", "ENRICHED", usual_records=False),
    Peer("auditd and laurel, fewer records", "ENRICHED", usual_records=False, laurel=True),
)


def connects() -> None:
    """Connect to one address after another, at a steady rate."""
    began = time.monotonic()
    for i in range(CONNECTS):
        if i % 20 == 0:
            time.sleep(max(began + i / CONNECT_RATE - time.monotonic(), 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", 1_000 + i % 100))


def execs() -> None:
    """Start a program again and again, each time with another argument, at a steady rate."""
    began = time.monotonic()
    for i in range(EXECS):
        time.sleep(max(began + i / EXEC_RATE - time.monotonic(), 0))
        os.waitpid(os.posix_spawn("/bin/true", ["true", "--flag", f"argument-{i}"], {}), 0)


def measure(collector: Collector, control: AuditControl) -> list[float]:
    """Both loads, what was lost, and the most memory that was resident."""
    row = []
    lost = control.status().lost
    for load, count in ((connects, CONNECTS), (execs, EXECS)):
        before = collector.cpu_ms()
        load()
        time.sleep(SETTLE_S)
        row.append((collector.cpu_ms() - before) / count * 1000)
    return [*row, control.status().lost - lost, collector.memory_mib()]


def summary(name: str, rounds: list[list[float]]) -> list[str]:
    """One row: medians, but all that was lost and the most memory of any round."""
    connected, launched, lost, memory = zip(*rounds, strict=True)
    cpu = [f"{statistics.median(values):.0f}" for values in (connected, launched)]
    return [name, *cpu, f"{sum(lost):.0f}", f"{max(memory):.1f}"]


@contextmanager
def auditd(folder: Path, control: AuditControl, peer: Peer) -> Iterator[Collector]:
    """Auditd as Debian configures it but for what `peer` says, and with laurel as its plugin if that says so."""
    conf = folder / peer.name.replace(" ", "-")
    shutil.rmtree(conf, ignore_errors=True)
    (conf / "plugins.d").mkdir(parents=True)
    text = Path("/etc/audit/auditd.conf").read_text()
    text = text.replace("/var/log/audit/audit.log", f"{conf}/audit.log").replace(
        "/etc/audit/plugins.d", f"{conf}/plugins.d"
    )
    (conf / "auditd.conf").write_text(text.replace("log_format = ENRICHED", f"log_format = {peer.log_format}"))
    if peer.laurel:
        (conf / "laurel.toml").write_text(f'directory = "{conf}"\nuser = "root"\n[auditlog]\nfile = "laurel.log"\n')
        plugin = f"active = yes\ndirection = out\ntype = always\nformat = string\npath = {shutil.which('laurel')}\n"
        (conf / "plugins.d" / "laurel.conf").write_text(f"{plugin}args = --config {conf}/laurel.toml\n")
    found, added = control.status(), []
    process = subprocess.Popen(["auditd", "-n", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(SETTLE_S)
    for rule in read_rules([BASE_RULES], login_homes()).rules:
        if rule.list_flags == FILTERS["exclude"] and peer.usual_records:
            continue
        try:
            control.add_rule(rule.pack())
        except KernelRefused:  # its path does not exist
            continue
        added.append(rule.pack())
    control.set(enabled=1, backlog_limit=8192)
    time.sleep(SETTLE_S)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    yield Collector([process.pid, *map(int, children)])
    for packed in added:
        control.delete_rule(packed)
    process.send_signal(signal.SIGTERM)
    process.wait()
    control.set(enabled=found.enabled, backlog_limit=found.backlog_limit)


def main() -> None:
    """Measure every collector that is installed, one after another, and all of that as often as asked."""
    control, rounds = AuditControl(), int(sys.argv[1]) if len(sys.argv) > 1 else 1
    measured: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as place, server() as url:
        folder = Path(place)
        for _ in range(rounds):
            for name, settings in OURS.items():
                with tocsin(folder, url, settings) as collector:
                    measured.setdefault(name, []).append(measure(collector, control))
            for peer in PEERS:
                if shutil.which("laurel" if peer.laurel else "auditd"):
                    with auditd(folder, control, peer) as collector:
                        measured.setdefault(peer.name, []).append(measure(collector, control))
    rows = [summary(collector_name, found) for collector_name, found in measured.items()]
    head = ("collector", "CPU ms per 1,000 connects", "per 1,000 programs", "records lost", "peak resident MiB")
    print(table("Collectors on one host", head, rows))


if __name__ == "__main__":
    main()
