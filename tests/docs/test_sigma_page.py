"""What docs/sigma.md says is fixed by tests."""

from __future__ import annotations

import re
from pathlib import Path

from sigma.modifiers import modifier_mapping

import tocsin.detect.sigma.modifiers  # noqa: F401 - adds what pySigma lacks

_ROOT = Path(__file__).parent.parent.parent


def test_every_test_that_the_page_on_sigma_names_exists() -> None:
    """And it names many: a statement without a test is a wish."""
    named = set(re.findall(r"`(test_\w+)`", (_ROOT / "docs/sigma.md").read_text()))
    files = (_ROOT / "tests").rglob("test_*.py")
    defined = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    assert len(named) > 25
    assert not named - defined


def test_every_modifier_is_on_the_page() -> None:
    """What a rule may say stands there."""
    page = (_ROOT / "docs/sigma.md").read_text()
    other_names = {"ignorecase", "multiline", "dotall"}
    assert "utf16le" in modifier_mapping
    assert not {name for name in modifier_mapping if f"`{name}`" not in page} - other_names
