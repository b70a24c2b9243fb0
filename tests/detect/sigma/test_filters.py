"""Sigma filters: folded into the rules that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.detect.evaluate.naive import holds
from tocsin.detect.sigma.library import Library, Loader, load
from tocsin.model.event import Event

_RULE = """title: Any
id: id-any
name: any_shell
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: sh}, condition: s}
"""
_FILTER = """title: Not ours
logsource: {%s}
filter:
  rules: %s
  ours: {User|startswith: adm_}
  condition: not ours
"""


def _library(folder: Path, *texts: str) -> Library:
    for number, text in enumerate(texts):
        (folder / f"{number}.yml").write_text(text)
    return load([folder])


def _fires(library: Library, user: str) -> bool:
    event = Event(1007, {"time": 1, "activity_id": 1, "process.file.path": "/bin/sh", "process.user.name": user})
    (rule,) = library.rules
    return holds(rule.condition, event)


@pytest.mark.parametrize("rules", ["[id-any]", "[any_shell, other]", "any_shell", "any", "[]"])
@pytest.mark.parametrize("source", ["product: linux, category: process_creation", "product: linux"])
def test_a_filter_holds_for_the_rules_it_names(tmp_path: Path, rules: str, source: str) -> None:
    """By id, by name or all, and its log source is the rule's or a wider one; its fields are the rule's."""
    library = _library(tmp_path, _RULE, _FILTER % (source, rules))
    assert not library.refused
    assert (_fires(library, "root"), _fires(library, "adm_x")) == (True, False)


@pytest.mark.parametrize(
    ("source", "rules"),
    [("product: windows", "any"), ("product: linux, category: file_event", "any"), ("product: linux", "[other]")],
)
def test_a_filter_leaves_others_alone(tmp_path: Path, source: str, rules: str) -> None:
    """Rules of another log source, or that it does not name."""
    assert _fires(_library(tmp_path, _RULE, _FILTER % (source, rules)), "adm_x")


def test_several_filters_must_all_hold(tmp_path: Path) -> None:
    """Each in its own right."""
    other = _FILTER.replace("adm_", "bin") % ("product: linux", "any")
    library = _library(tmp_path, _RULE, _FILTER % ("product: linux", "any"), other)
    assert [_fires(library, user) for user in ("root", "adm_x", "binary")] == [True, False, False]


def test_a_filter_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    """On the next load of the same loader; and a rule that no filter touches stays the very same."""
    (tmp_path / "0.yml").write_text(_RULE)
    loader = Loader()
    before = loader.load([tmp_path]).rules[0]
    (tmp_path / "1.yml").write_text(_FILTER % ("product: linux", "any"))
    during = loader.load([tmp_path]).rules[0]
    assert loader.load([tmp_path]).rules[0] is during is not before
    (tmp_path / "1.yml").unlink()
    assert loader.load([tmp_path]).rules[0] is before


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (_FILTER.replace("  rules: %s\n", "") % "product: linux", 3, "must have a 'rules' field"),
        (_FILTER % ("", "any"), 2, "og source"),
        (_FILTER.replace("not ours", "not mine") % ("product: linux", "any"), 6, "'mine'"),
        ("title: T\nlogsource: {product: linux}\nfilter: {rules: any, condition: s}\n", 3, "needs a selection"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(tmp_path: Path, text: str, line: int, words: str) -> None:
    """With its own file and line; a rule that it was to be applied to is not used without it."""
    library = _library(tmp_path, _RULE, text)
    (refused,) = library.refused
    assert words in refused.reason
    assert (Path(refused.path).name, refused.line) == ("1.yml", line)
