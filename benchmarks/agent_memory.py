"""Memory of the agent with its default settings: at rest, and under programs and changes of files.

    sudo .venv/bin/python benchmarks/agent_memory.py

All that the settings switch on by default runs (audit, files, names, inventory, logs); the agent is enrolled and ships.
It is resident memory as the kernel counts it, and the most that it ever was (VmHWM).

"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from collector import Collector, server, tocsin
from report import table

REST_S: float = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
PROGRAMS, CHANGES, FILES = 1_000, 20_000, 1_000
SETTLE_S = 5.0
WATCHED = Path("/etc/tocsin-benchmark")


def programs() -> None:
    """Start programs one after another."""
    for i in range(PROGRAMS):
        os.waitpid(os.posix_spawn("/bin/true", ["true", f"argument-{i}"], {}), 0)


def changes() -> None:
    """Write files of a watched folder, again and again."""
    WATCHED.mkdir()
    try:
        for i in range(CHANGES):
            (WATCHED / f"file-{i % FILES}").write_text(str(i))
        time.sleep(SETTLE_S)
    finally:
        shutil.rmtree(WATCHED)


def rest() -> None:
    """Do nothing for as long as asked."""
    time.sleep(REST_S)


def measured(what: str, load: Callable[[], None], collector: Collector) -> list[str]:
    """One row: resident after this load, and the most until then."""
    load()
    time.sleep(SETTLE_S)
    return [what, f"{collector.resident_mib():.1f}", f"{collector.memory_mib():.1f}"]


def main() -> None:
    """Measure the agent at rest and after each load."""
    loads: dict[str, Callable[[], None]] = {
        f"at rest for {REST_S:.0f} s": rest,
        f"{PROGRAMS:,} programs started": programs,
        f"{CHANGES:,} changes of {FILES:,} watched files": changes,
        f"at rest for {REST_S:.0f} s again": rest,
    }
    with tempfile.TemporaryDirectory() as place, server() as url, tocsin(Path(place), url, "") as collector:
        rows = [measured(what, load, collector) for what, load in loads.items()]
    print(table("Memory of the agent", ("after", "resident MiB", "most resident MiB"), rows))


if __name__ == "__main__":
    main()
