"""The page about capture policies says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from tocsin.agent.policy.document import CPU_PERCENT
from tocsin.agent.policy.governor import STEPS
from tocsin.agent.policy.protected import DROPPABLE
from tocsin.agent.policy.read import SECTIONS, problems
from tocsin.model.schema import CLASSES

PAGE = (Path(__file__).parent.parent.parent / "docs/policy.md").read_text()


def test_the_example_is_a_policy_with_every_section() -> None:
    """Who copies it gets what the page says."""
    example = "\n".join(
        line[4:] for line in PAGE.partition("    tocsin agent tag")[0].splitlines() if line[:4] == "    "
    )
    assert problems(example, "web.toml") == []
    for section in SECTIONS:
        assert re.search(rf"^\[+{section}\b", example, re.MULTILINE), section


def test_classes_and_the_default_limit_are_named() -> None:
    """No class is missing."""
    assert all(f"`{CLASSES[uid].name}`" in PAGE for uid in DROPPABLE)
    assert f"share of one core, {CPU_PERCENT} unless" in PAGE


def test_every_step_of_the_governor_is_in_the_table() -> None:
    """With its rates."""
    rows = [line for line in PAGE.splitlines() if re.match(r"\| [0-9, ]+ \|", line)]
    table = " ".join(rows).replace(",", "")
    for step in STEPS[1:]:
        for rate in step.values():
            assert re.search(rf"\b{rate}\b", table), step
    assert len(STEPS) == 8
