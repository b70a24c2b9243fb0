"""The agent's settings are documented as they are declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

from tocsin.agent.config import Config
from tocsin.agent.policy.document import Policy

PAGE = Path(__file__).parent.parent.parent / "docs/agent.md"
SAID_IN_WORDS = {"audit.rules"}  # a path inside the installation


def defaults(section: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting by its dotted name, with its default as TOML would write it."""
    if not is_dataclass(section):
        raise TypeError(section)
    for setting in fields(section):
        name, value = f"{prefix}{setting.name}", getattr(section, setting.name)
        if isinstance(value, Policy):
            continue  # docs/policy.md, and its own test
        if is_dataclass(value):
            yield from defaults(value, f"{name}.")
        else:
            yield name, str(value) if isinstance(value, Path) else json.dumps(value)


def test_every_setting_of_the_agent_is_on_its_page() -> None:
    """No setting is missing, none is made up, and each default is the real one."""
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    documented = {row[0].strip("| `"): row[1].strip("`") for row in rows}
    declared = dict(defaults(Config()))
    assert documented.keys() == declared.keys()
    checked = declared.keys() - SAID_IN_WORDS
    assert {name: documented[name] for name in checked} == {name: declared[name] for name in checked}
