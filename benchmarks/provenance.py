"""What provenance costs: bytes and CPU of the archive per 1,000 events, and how fast `tocsin verify` goes through rows.

Events come from `fleet.activity`, records included; five agents seal batches of 500. CPU is that of this process.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fleet import SEED, activity
from report import machine
from wiring.provenance import Filed, now_ms

BATCH_ROWS = 500
AGENTS = 5


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        filed = Filed(Path(folder))
        senders = [filed.agent(f"host-{number}") for number in range(AGENTS)]
        rng, batches = random.Random(SEED), options.events // BATCH_ROWS  # noqa: S311 -- repeatable
        for number in range(batches):
            at = now_ms() - 3_600_000 + 3_600_000 * number // batches
            filed.append(*senders[number % AGENTS].seal(activity(rng, BATCH_ROWS, at)))
        entries = filed.entries()
        started = time.process_time()
        archived = filed.archive.write(entries)
        archiving_s = time.process_time() - started
        filed.file(flush_rows=100_000)
        started = time.process_time()
        verdict = filed.verify()
        verifying_s = time.process_time() - started
        lake = sum(path.stat().st_size for path in (Path(folder) / "lake").rglob("*.parquet"))
        size = sum(file.size_bytes for file in archived)
        filed.close()
    thousands = verdict.rows / 1000
    print(f"{machine()}\n")
    print(f"| {verdict.rows} events in batches of {BATCH_ROWS} | |\n|---|---|")
    print(f"| archive, bytes per event | {size / verdict.rows:.1f} (lake {lake / verdict.rows:.1f}) |")
    print(f"| archive, CPU ms per 1,000 events | {1000 * archiving_s / thousands:.3f} |")
    print(f"| verify, rows per CPU second | {verdict.rows / verifying_s:,.0f} |")
    return 0 if verdict.intact else 1


if __name__ == "__main__":
    sys.exit(main())
