"""The object under test is built from the source beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def built_object() -> None:
    """Build what has changed; without a compiler there is nothing to test, which in CI is a failure."""
    if shutil.which("clang") is None:
        message = "the eBPF sensor needs clang and libbpf's headers: tests/need.sh installs them"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    subprocess.run(["make", "--no-print-directory", "ebpf"], cwd=_ROOT, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def _build_for_the_kernel(request: pytest.FixtureRequest) -> None:
    """Tests that load it need it built."""
    if request.node.get_closest_marker("root"):
        request.getfixturevalue("built_object")
