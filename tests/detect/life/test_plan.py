"""A folder of rules as documents, and what they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.detect.life.plan import changes, read_folder
from tocsin.detect.sigma.library import Loader
from tocsin.model.errors import InvalidRule
from tocsin.model.life import State
from tocsin.state.life.versions import Applied, Version, digest_of, texts_of

RULE = """# a comment before
title: {title}
id: {id}
logsource: {{product: linux, category: process_creation}}
description: |
  three dashes within --- a text
   ---
detection:
  selection: {{CommandLine|startswith: {id}}}
  condition: selection
"""


def _rule(number: int, title: str = "A rule") -> str:
    return RULE.format(id=f"r-{number}", title=title)


def _version(applied: Applied) -> Version:
    fields = {name: getattr(applied, name) for name in Applied.__struct_fields__}
    return Version(**fields, version=1, digest=digest_of(applied.content), author="anna", created_at=1)


def test_a_file_is_cut_where_its_documents_end(tmp_path: Path) -> None:
    """Every document is applied by itself, with its comments; dashes within a text cut nothing."""
    (tmp_path / "a.yml").write_text(f"---\n{_rule(1)}\n--- # next\n{_rule(2)}---\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.yaml").write_text(_rule(3))
    found = read_folder(tmp_path, "team")
    assert [(each.rule_id, each.path) for each in found] == [("r-1", "a.yml"), ("r-2", "a.yml"), ("r-3", "b/c.yaml")]
    assert all("three dashes within --- a text" in each.content for each in found)


def test_what_was_applied_loads_as_the_folder_did(tmp_path: Path) -> None:
    """The texts that detectors load from the state give the rules that the folder gives."""
    (tmp_path / "a.yml").write_text(f"{_rule(1)}---\n{_rule(2)}")
    texts = texts_of(map(_version, read_folder(tmp_path, "team")))
    from_state, from_folder = Loader().load([], texts=texts), Loader().load([tmp_path])
    assert from_state.refused == from_folder.refused == ()
    assert [(rule.id, rule.condition) for rule in from_state.rules] == [
        (rule.id, rule.condition) for rule in from_folder.rules
    ]


def test_changes_are_told_apart(tmp_path: Path) -> None:
    """What is new is added, what differs changed, what the ruleset alone had is removed, the rest stays."""
    (tmp_path / "a.yml").write_text("---\n".join(_rule(number) for number in (1, 2, 3)))
    now = {each.rule_id: _version(each) for each in read_folder(tmp_path, "team")}
    elsewhere = Applied("r-9", "other", "x.yml", "", _rule(9))
    (tmp_path / "a.yml").write_text("---\n".join((_rule(1), _rule(2, "Another title"), _rule(4))))
    found = changes(read_folder(tmp_path, "team"), now | {"r-9": _version(elsewhere)}, {"r-1": State.STAGED}, "team")
    assert [(change.rule_id, change.kind, change.state) for change in found] == [
        ("r-1", "unchanged", "staged"),
        ("r-2", "changed", "active"),
        ("r-3", "removed", ""),
        ("r-4", "added", "active"),
    ]
    assert "-title: A rule\n+title: Another title\n" in found[1].diff
    assert found[2].applied is not None
    assert found[2].applied.removed


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    """The reason names file and line."""
    (tmp_path / "a.yml").write_text("title: [")
    with pytest.raises(InvalidRule, match=r"a\.yml:2: not YAML"):
        read_folder(tmp_path, "team")
