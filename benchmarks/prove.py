"""`make prove`: the long proofs and every benchmark, one after another; each result is kept under docs/results.

What `make test` runs briefly runs here for long: a hundred rounds of kill -9, ten thousand examples per property.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from report import machine

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
DATA = Path(os.environ.get("TOCSIN_TEST_DATA", ROOT.parent / "shared" / "data"))
LINUX_RULES = [str(DATA / "sigma" / part / "linux") for part in ("rules", "rules-threat-hunting")]
BENCHMARKS = {
    "detection": ["benchmarks/detection.py"],
    "agent": ["benchmarks/agent.py"],
    "agent-memory": ["benchmarks/agent_memory.py"],
    "files": ["benchmarks/files.py"],
    "rsigma-differences": ["benchmarks/rsigma_agreement.py"],
    "latency": ["benchmarks/latency.py", "--seconds", "30", "--rules", *LINUX_RULES],
    "ingest": ["benchmarks/ingest.py", "--seconds", "30", "--rate", "30000", "--rules", *LINUX_RULES],
    "windows-cost": ["benchmarks/windows.py"],
    "backtest": ["benchmarks/backtest.py"],
    "provenance": ["benchmarks/provenance.py"],
    "intel": ["benchmarks/intel.py", "--rules", *LINUX_RULES],
}
PROOFS = {
    "kill-agent": (["-m", "pytest", "-q", "tests/agent/test_kill.py"], {"TOCSIN_KILL_ROUNDS": "50"}),
    "tamper": (["-m", "pytest", "-q", "tests/wiring/test_verify.py"], {"TOCSIN_TAMPER_FLIPS": "1000"}),
    "outage": (["-m", "pytest", "-q", "tests/e2e/test_outage.py"], {"TOCSIN_OUTAGE_RATE": "300"}),
    "fuzz": (["tests/fuzzing.py", "--runs", "10000000"], {}),
    "kill": (["-m", "pytest", "-q", "tests/e2e/test_kill.py"], {"TOCSIN_KILL_ROUNDS": "100"}),
    "kill-windows": (["-m", "pytest", "-q", "tests/e2e/test_kill_windows.py"], {"TOCSIN_KILL_ROUNDS": "20"}),
    "public-rules": (["-m", "pytest", "-q", "tests/detect/evaluate/test_public_rules.py"], {"TOCSIN_LONG": "1"}),
    "properties": (
        ["-m", "pytest", "-q", "tests", "-k", "garbage or flipped or comes_back or property"],
        {"TOCSIN_LONG": "1"},
    ),
}


def run(name: str, command: list[str], environment: dict[str, str]) -> bool:
    """Run one proof and keep what it printed; whether it held."""
    print(f"{name} ...", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    verdict = "held" if done.returncode == 0 else f"FAILED ({done.returncode})"
    took_s = time.monotonic() - started
    tail = done.stdout.replace(str(ROOT), ".").replace(str(DATA), "TOCSIN_TEST_DATA")[-8000:]
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = f"# {name}\n\n{verdict} in {took_s:.0f} s, {stamp}. {machine()}\n\n{tail}\n"
    (RESULTS / f"{name}.md").write_text(text)
    print(f"{name}: {verdict} in {took_s:.0f} s", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run all, or those that are named; 1 if one does not hold."""
    RESULTS.mkdir(exist_ok=True)
    wanted = set(sys.argv[1:]) or {*BENCHMARKS, *PROOFS}
    held = [run(name, command, {}) for name, command in BENCHMARKS.items() if name in wanted]
    held += [run(name, *proof) for name, proof in PROOFS.items() if name in wanted]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
