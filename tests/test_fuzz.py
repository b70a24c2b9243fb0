"""The fuzzer, briefly: every target holds for some thousand executions from its kept corpus on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz_targets import TARGETS

FUZZING = Path(__file__).parent / "fuzzing.py"
RUNS = os.environ.get("TOCSIN_FUZZ_RUNS", "5000")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_the_target_holds(target: str) -> None:
    """Nothing that the fuzzer tries breaks the parser; it begins with all that ever covered something new."""
    pytest.importorskip("atheris")
    done = subprocess.run(
        [sys.executable, FUZZING, target, "--runs", RUNS], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"{target}: held" in done.stdout


def test_every_corpus_has_its_target() -> None:
    """No inputs are kept for what is fuzzed no longer, and some are for everything that is."""
    assert {path.stem for path in FUZZING.parent.glob("golden/fuzz/*.txt")} == TARGETS.keys()
