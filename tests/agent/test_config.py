"""Settings are read once, and a wrong one says which."""

from __future__ import annotations

import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from tocsin.agent.audit.rule_set import BASE_RULES
from tocsin.agent.config import POLICY_SECTIONS, BatchSettings, Config, read_config
from tocsin.model.errors import InvalidSetting


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """An agent needs no settings file."""
    assert read_config(tmp_path / "absent.toml") == Config()


def test_the_shipped_file_names_every_setting_with_its_default() -> None:
    """Whoever edits the shipped file sees all there is; only the built-in rules have no path there."""
    path = BASE_RULES.parent / "agent.toml"
    assert read_config(path) == Config()
    shipped = tomllib.loads(path.read_text().replace("# rules =", "rules ="))
    assert set(POLICY_SECTIONS) < set(shipped)
    for section in fields(Config):
        if section.name == "policy":
            continue
        kind = type(getattr(Config(), section.name))
        names = {setting.name for setting in fields(kind)} if is_dataclass(kind) else set()
        assert section.name in shipped
        assert not names or set(shipped[section.name]) == names


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    """Sections and lists are read; the command line's state folder wins."""
    path = tmp_path / "agent.toml"
    path.write_text('state_dir = "/x"\n[batch]\nmax_rows = 5\n[redact]\npatterns = ["a", "b"]\n')
    config = read_config(path, tmp_path)
    assert config.batch == BatchSettings(max_rows=5)
    assert config.redact.patterns == ("a", "b")
    assert config.state_dir == tmp_path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colour = 1", "colour is not a setting; known are audit, batch"),
        ("[audit]\nrule = []", r"audit\.rule is not a setting"),
        ('[batch]\nmax_rows = "many"', r"batch\.max_rows cannot be 'many'; it is a number from 0"),
        ("[batch]\nmax_rows = -1", r"cannot be -1"),
        ("[redact]\ndefaults = 1", r"redact\.defaults cannot be 1; it is true or false"),
        ('[redact]\npatterns = "x"', "it is a list of texts"),
        ("batch = 3", "it is a section"),
        ("state_dir = 3", "it is a path"),
        ("[batch", "agent.toml: "),
    ],
)
def test_a_wrong_setting_names_file_and_key(tmp_path: Path, text: str, reason: str) -> None:
    """An unknown key or a wrong type stops the agent with one sentence."""
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(InvalidSetting, match=reason) as caught:
        read_config(path)
    assert str(path) in str(caught.value)
