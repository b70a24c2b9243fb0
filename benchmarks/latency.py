"""From the kernel's stamp on an event to the webhook, with the host busy: p50, p90, p99 and the worst.

A whole installation watches this host. A background load of real connects, audited like any, goes on at a steady rate
while marked commands run, each of which is an alert of its own; the time is from the kernel's record to the receiver's
clock.

    sudo .venv/bin/python benchmarks/latency.py [--rate 1000] [--seconds 30] [--rules FOLDER...]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from report import table
from tocsin.testing import Installation, installed, wait_for

RULE_ID = "33333333-0000-4000-8000-000000000001"
RULE = f"""
title: A marked command
id: {RULE_ID}
logsource: {{product: linux, category: process_creation}}
detection:
  selection: {{CommandLine|contains: latency-marker}}
  condition: selection
level: high
tocsin: {{group_by: [process.cmd_line]}}
"""
MARKED_EVERY_S = 0.1
LIMIT_MS = 1000


def connects(rate: int, seconds: float) -> None:
    """Connect at a steady rate; every connect is an audited event."""
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        if number % 20 == 0:
            time.sleep(max(began + number / rate - time.monotonic(), 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", 1_000 + number % 100))


def marked(seconds: float) -> int:
    """Run marked commands, one after another; gives how many."""
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        subprocess.run(["/bin/echo", "latency-marker", str(count)], check=True, stdout=subprocess.DEVNULL)
        count += 1
        time.sleep(MARKED_EVERY_S)
    return count


def latencies(installation: Installation) -> list[int]:
    """Milliseconds from kernel to webhook, one per alert that came, ascending."""
    found = {}
    for one in installation.receiver.alerts(RULE_ID):
        event = one.data["events"][0]["event"]
        found[event["process"]["cmd_line"]] = one.at_ms - event["time"]
    return sorted(found.values())


def measure(rate: int, seconds: float, rules: list[Path], folder: Path) -> list[str]:
    """One run; a row of the table."""
    (folder / "rule.yml").write_text(RULE)
    listed = ", ".join(f'"{path}"' for path in [folder / "rule.yml", *rules])
    with installed(folder, settings=f"rules = [{listed}]\n") as installation:
        wait_for(installation.agent_is_healthy, 30, "a healthy agent")
        load = multiprocessing.Process(target=connects, args=(rate, seconds))
        load.start()
        count = marked(seconds)
        load.join()
        wait_for(lambda: len(latencies(installation)) == count, 30, f"{count} alerts")
        made = "dst_endpoint.ip = '127.0.0.1' AND dst_endpoint.port BETWEEN 1000 AND 1099"
        stored = int(installation.tocsin("search", made, "--count", "--last", "1h").stdout or 0)
        found = latencies(installation)
    if stored < rate * seconds:
        raise RuntimeError(f"{rate * seconds:.0f} connects were made, {stored} are stored")
    at = [found[min(int(len(found) * share), len(found) - 1)] for share in (0.5, 0.9, 0.99)]
    return [f"{rate:,}", str(count), *(f"{ms:,}" for ms in at), f"{found[-1]:,}", f"{LIMIT_MS:,}", "0"]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, nargs="+", default=[1_000])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rules", type=Path, nargs="*", default=[])
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("the kernel's audit needs root")
    rows = []
    for rate in chosen.rate:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(rate, chosen.seconds, chosen.rules, Path(folder)))
    head = ["background events /s", "alerts", "p50 ms", "p90 ms", "p99 ms", "worst ms", "limit of p99 ms", "lost"]
    print(table("From the kernel to the webhook", head, rows))


if __name__ == "__main__":
    main()
