"""What capture policies cost the agent, and what they save.

    sudo .venv/bin/python benchmarks/policy.py [ROUNDS]

First the gate alone: nanoseconds of CPU per event that passes it. Then the whole agent on the real kernel under the
same load as benchmarks/agent.py, once for each policy in every round: CPU per 1,000 connects and programs that happen,
whether they are kept or not. CPU is the scheduler's own count; of several rounds the median. Compare the rows of one
run.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from agent import CONNECTS, EXECS, SETTLE_S, connects, execs
from collector import server, tocsin
from report import table
from tocsin.agent.policy.gate import Gate
from tocsin.agent.policy.read import read_policy
from tocsin.model.event import Event

EVENTS = 200_000
INTERPRETER = str(Path(sys.executable).resolve())
NO_LIMIT = "[limit]\ncpu_percent = 0\n"
FITS_NOTHING = (
    '[[exclude]]\nexe = ["/opt/none/*"]\n[[exclude]]\nuser = ["4711"]\n[[exclude]]\ncidr = ["192.0.2.0/24"]\n'
)
POLICIES = {
    "no policy": "",
    "exclusions that fit nothing": FITS_NOTHING,
    "one in ten connections": "[events.network_activity]\nsample = 10\n",
    "connections excluded by network, in the agent": '[[exclude]]\ncidr = ["127.0.0.0/8"]\n',
    "connections excluded by program, in the kernel": f'[events.network_activity.exclude]\nexe = ["{INTERPRETER}"]\n',
}


def gate_ns(text: str) -> float:
    """CPU per event that is a connection like those of the load."""
    gate = Gate(read_policy(text, "policy"), salt="bench", clock=time.monotonic, uid_of=lambda _name: None)
    shared: dict[str, str | int | bool] = {"actor.process.file.path": INTERPRETER, "actor.process.user.uid": "0"}
    events = [
        Event(
            4001, {"time": n, "activity_id": 1, "unmapped.audit.serial": n, "dst_endpoint.ip": "127.0.0.1"}, (), shared
        )
        for n in range(EVENTS)
    ]
    asked = None if gate.is_open else gate
    began = time.process_time_ns()
    for event in events:
        if asked is not None:
            asked.refuses(event)
    return (time.process_time_ns() - began) / EVENTS


def measure(folder: Path, url: str, text: str) -> list[float]:
    """CPU of the agent per 1,000 connects and per 1,000 programs."""
    row = []
    with tocsin(folder, url, NO_LIMIT + text) as collector:
        for load, count in ((connects, CONNECTS), (execs, EXECS)):
            before = collector.cpu_ms()
            load()
            time.sleep(SETTLE_S)
            row.append((collector.cpu_ms() - before) / count * 1000)
    return row


def main() -> None:
    """Measure every policy, one after another, and all of that as often as asked."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    gate = [(name, f"{gate_ns(text):.0f}") for name, text in POLICIES.items()]
    print(table("The gate alone", ("policy", "CPU ns per event"), gate))
    found: dict[str, list[list[float]]] = {name: [] for name in POLICIES}
    with tempfile.TemporaryDirectory() as name, server() as url:
        for _ in range(rounds):
            for policy, text in POLICIES.items():
                found[policy].append(measure(Path(name), url, text))
    rows = [
        (policy, *(f"{statistics.median(column):.1f}" for column in zip(*measured, strict=True)))
        for policy, measured in found.items()
    ]
    print(table("The agent", ("policy", "CPU ms per 1,000 connects", "per 1,000 programs"), rows))


if __name__ == "__main__":
    main()
