"""What watching files costs: idle, per 1,000 changes of each kind, and beside a folder that is churned.

    sudo .venv/bin/python benchmarks/files.py [ROUNDS]

The same agent three times: without the module (audit's rule on the folder alone, as other agents watch files), with it,
and with it beside a folder that nobody asked to be watched. Each change is made by one process, 500 a second, in a
folder that is watched; then 50,000 files are written and removed as fast as one process can. CPU is the scheduler's
own count of all threads of the agent; of several rounds the median.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from collector import Collector, server, tocsin
from report import table
from tocsin.agent.operate.health import read_report

IDLE_S = 15.0
CHANGES, RATE = 2_000, 500
CHURNED = 100_000  # writes and removals
SETTLE_S = 3.0
SIZE = bytes(4096)
RULES = """-a always,exit -F arch=b64 -F perm=wa -F dir={folder} -S open,creat,openat,openat2,truncate,rename,renameat,\
renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,chmod,fchmod,fchmodat,chown,fchown,fchownat -k x
"""


def create(folder: Path, number: int) -> None:
    """A new file of 4 KiB."""
    (folder / f"{number}").write_bytes(SIZE)


def overwrite(folder: Path, number: int) -> None:
    """Other content in a file that is known."""
    (folder / f"{number}").write_bytes(SIZE[:-8] + number.to_bytes(8, "big"))


def save(folder: Path, number: int) -> None:
    """An editor's save: written aside, and renamed."""
    part = folder / f".{number}.part"
    part.write_bytes(SIZE[:-4] + number.to_bytes(4, "big"))
    part.rename(folder / f"{number}")


def change_mode(folder: Path, number: int) -> None:
    """Other permissions."""
    (folder / f"{number}").chmod(0o600)


def delete(folder: Path, number: int) -> None:
    """Removed."""
    (folder / f"{number}").unlink()


KINDS: tuple[Callable[[Path, int], None], ...] = (create, overwrite, save, change_mode, delete)


def steadily(act: Callable[[Path, int], None], folder: Path) -> None:
    """Each change once, at a steady rate."""
    began = time.monotonic()
    for number in range(CHANGES):
        if number % 10 == 0:
            time.sleep(max(began + number / RATE - time.monotonic(), 0))
        act(folder, number)


def churn(folder: Path) -> float:
    """Write and remove files as fast as it goes; returns how long it took."""
    began = time.monotonic()
    for number in range(CHURNED // 2):
        create(folder, number)
        delete(folder, number)
    return time.monotonic() - began


def calm(state: Path) -> None:
    """Wait until the first scan is over and the loop is idle."""
    for _ in range(60):
        time.sleep(1)
        report = read_report(state)
        module = report.modules.get("files") if report else None
        if module is None or "compared" not in module.reason:
            break
    time.sleep(SETTLE_S)


def measure(collector: Collector, folder: Path, state: Path) -> dict[str, float]:
    """Every load; CPU in ms, of the idle agent per minute, else per 1,000 changes."""
    calm(state)
    found: dict[str, float] = {}
    before = collector.cpu_ms()
    time.sleep(IDLE_S)
    found["idle"] = (collector.cpu_ms() - before) * 60 / IDLE_S
    for kind in KINDS:
        before = collector.cpu_ms()
        steadily(kind, folder)
        time.sleep(SETTLE_S)
        found[kind.__name__] = (collector.cpu_ms() - before) / CHANGES * 1000
    before = collector.cpu_ms()
    found["churn takes"] = churn(folder)
    found["churn cpu"] = (collector.cpu_ms() - before) / found["churn takes"] / 10
    waited = time.monotonic()
    while collector.cpu_ms() - before > 0 and time.monotonic() - waited < 60:
        before = collector.cpu_ms()
        time.sleep(1)
        if collector.cpu_ms() - before < 50:
            break
    report = read_report(state)
    found["overflows"] = report.counters["files_overflow"] if report else -1
    found["lost"] = report.counters["kernel_lost"] if report else -1
    found["memory"] = collector.memory_mib()
    return found


def settings(folder: Path, *, paths: str, enabled: str = "true") -> str:
    """The agent with one rule of audit, and these paths watched."""
    rules = folder / "watch.rules"
    rules.write_text(RULES.format(folder=folder / "watched"))
    return f'[audit]\nrules = ["{rules}"]\n[files]\nenabled = {enabled}\npaths = {paths}\n'


def main() -> None:
    """Measure each way, as often as asked."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    measured: dict[str, list[dict[str, float]]] = {}
    with server() as url:
        for _ in range(rounds):
            for name in ("audit alone", "audit and fanotify", "fanotify elsewhere"):
                with tempfile.TemporaryDirectory() as place:
                    folder = Path(place)
                    for needed in ("watched", "other"):
                        (folder / needed).mkdir()
                    enabled = "false" if name == "audit alone" else "true"
                    watched = folder / ("other" if name == "fanotify elsewhere" else "watched")
                    text = settings(folder, paths=f'["{watched}", "/etc", "/usr/bin"]', enabled=enabled)
                    with tocsin(folder, url, text) as collector:
                        one = measure(collector, folder / "watched", folder / "agent")
                    measured.setdefault(name, []).append(one)
    columns = list(next(iter(measured.values()))[0])
    rows = [
        [name, *(f"{statistics.median(one[column] for one in found):.1f}" for column in columns)]
        for name, found in measured.items()
    ]
    head = {
        "idle": "idle, ms of CPU a minute",
        "churn takes": "churn takes s",
        "churn cpu": "% of a core meanwhile",
        "overflows": "queue overflows",
        "lost": "records lost",
        "memory": "peak resident MiB",
    }
    print(table("Watching files", ["agent", *(head.get(name, f"{name}, ms per 1,000") for name in columns)], rows))


if __name__ == "__main__":
    main()
