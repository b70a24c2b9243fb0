"""The documentation says what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_reference_pages_are_current() -> None:
    """Schema, settings and metrics are documented as they are declared."""
    check = [sys.executable, str(ROOT / "docs/generate.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_readme_shows_the_two_commands() -> None:
    """A newcomer finds how to start it and how to test it."""
    readme = (ROOT / "README.md").read_text()
    assert "make up" in readme
    assert "make test" in readme
