"""Each lint speaks up where it should, is silent on what is hardly different, and mends what it says it mends."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lint_cases import CASES, FILE_NAME, GOOD_RULE
from tocsin.detect.quality.attack import Technique
from tocsin.detect.quality.lint.catalogue import LINTS
from tocsin.detect.quality.lint.registry import Level
from tocsin.detect.quality.lint.run import Complaint, lint_files, lint_text, mended, mended_file
from tocsin.detect.sigma.document import documents
from tocsin.detect.sigma.library import Loader
from tocsin.detect.sigma.logsource import RAW
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.errors import InvalidRule

_ACROSS = {lint.id for lint in LINTS.values() if lint.check_across}
_OF_FILES = {"not-readable", "unknown-technique", "file-name", "file-prefix"}


def _said(text: str, name: str = FILE_NAME) -> list[Complaint]:
    return lint_text(Path(name), text)


def test_every_lint_has_a_case() -> None:
    """A lint without a text on which it fires and a near miss cannot be added, nor a case without its lint."""
    assert set(CASES) | _ACROSS | _OF_FILES == set(LINTS)


@pytest.mark.parametrize("name", sorted(CASES))
def test_speaks_up_and_keeps_silent(name: str) -> None:
    """A lint speaks up on its case with a line that exists, and is silent on the near miss."""
    fires, misses = CASES[name]
    found = [each for each in _said(fires) if each.lint == name]
    assert found
    assert all(1 <= each.line <= len(fires.splitlines()) for each in found)
    assert name not in {each.lint for each in _said(misses)}


@pytest.mark.parametrize("name", sorted(name for name in CASES if LINTS[name].fixes))
def test_mends_what_it_says_it_mends(name: str) -> None:
    """After mending, the lint has nothing more to say, and the file is still YAML."""
    fires, _ = CASES[name]
    text, count = mended(Path(FILE_NAME), fires)
    assert count
    assert name not in {each.lint for each in _said(text)}
    assert "not-yaml" not in {each.lint for each in _said(text)}


def test_a_good_rule_is_left_alone() -> None:
    """Nothing is said about a rule as it should be, and mending it changes nothing."""
    assert _said(GOOD_RULE) == []
    assert mended(Path(FILE_NAME), GOOD_RULE) == (GOOD_RULE, 0)


def test_mending_keeps_comments_order_and_quotes(tmp_path: Path) -> None:
    """Only what is wrong is edited; every other byte stays."""
    text = GOOD_RULE.replace("level: medium", "level: Medium  # not yet higher")
    text = text.replace("Image|endswith: '/example'", "Image|endswith:\n            - '/example'  # one")
    file = tmp_path / FILE_NAME
    file.write_text(text)
    changed, count = mended_file(file)
    assert count == 2
    assert changed == text.replace("Medium ", "medium ").replace(":\n            - '/example'", ": '/example'")


def _files(folder: Path, **texts: str) -> list[Path]:
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)
    return [folder]


_OTHER_ID = (
    GOOD_RULE.replace("0a11", "0a99").replace("Example Of A Rule", "Another Rule").replace("/example'", "/other'")
)
_FILTER = CASES["filter-has-level"][1]


@pytest.mark.parametrize(
    ("name", "one", "fires", "misses"),
    [
        ("duplicate-id", GOOD_RULE, GOOD_RULE, _OTHER_ID),
        ("duplicate-name", f"{GOOD_RULE}name: a\n", f"{_OTHER_ID}name: a\n", f"{_OTHER_ID}name: b\n"),
        ("duplicate-title", GOOD_RULE, _OTHER_ID.replace("Another", "Example Of A"), _OTHER_ID),
        ("duplicate-detection", GOOD_RULE, _OTHER_ID.replace("/other", "/example"), _OTHER_ID),
        ("unknown-rule", _OTHER_ID, _FILTER, _FILTER.replace("0a11", "0a99")),
    ],
)
def test_rules_are_held_against_each_other(tmp_path: Path, name: str, one: str, fires: str, misses: str) -> None:
    """What two rules must not share is found wherever they lie, and not found where they do not share it."""
    for folder, second, expected in (("fires", fires, True), ("misses", misses, False)):
        (tmp_path / folder).mkdir()
        complaints = lint_files(_files(tmp_path / folder, one=one, two=second))
        assert (name in {each.lint for each in complaints}) is expected


def test_file_names_are_looked_at(tmp_path: Path) -> None:
    """A name in capitals, of another log source, or used twice is named; SigmaHQ's own form is not."""
    (tmp_path / "a").mkdir()
    for place in (f"a/{FILE_NAME}", FILE_NAME, "Rule.yml"):
        (tmp_path / place).write_text(GOOD_RULE)
    found = {(each.lint, Path(each.path).name) for each in lint_files([tmp_path]) if "file" in each.lint}
    wanted = {("file-name", "Rule.yml"), ("file-prefix", "Rule.yml"), ("duplicate-file-name", FILE_NAME)}
    assert found == wanted


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A file that is no UTF-8 is one error with its line, and the others are looked at all the same."""
    (tmp_path / "bad.yml").write_bytes(b"id: x\ntitle: \xff")
    complaints = lint_files(_files(tmp_path, good=GOOD_RULE.replace("medium", "none")))
    assert {(each.lint, each.line) for each in complaints if "bad" in each.path} == {("not-readable", 2)}
    assert "invalid-level" in {each.lint for each in complaints}


def test_what_would_not_end_is_no_yaml_to_lint() -> None:
    """Aliases of aliases, and more levels than the stack has room for: one complaint with its line."""
    bomb = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10) if n else 'q'}]" for n in range(9))
    (complaint,) = _said(f"title: T\n{bomb}\n")
    assert (complaint.lint, complaint.text) == ("not-yaml", "aliases repeat more than 100,000 values")
    assert 1 < complaint.line < 11
    assert [(each.lint, each.line) for each in _said("x:\n" + "- " * 200_000)] == [("not-yaml", 2)]


def test_techniques_are_checked_if_they_are_known(tmp_path: Path) -> None:
    """With ATT&CK at hand, a technique that it lacks or has withdrawn is named."""
    known = {"T1059.004": Technique("T1059.004", "Unix Shell"), "T1002": Technique("T1002", "Old", deprecated=True)}
    text = GOOD_RULE.replace("attack.t1059.004", "attack.t1059.004\n    - attack.t9999\n    - attack.t1002")
    said = [
        each.text
        for each in lint_files(_files(tmp_path, one=text), techniques=known)
        if each.lint == "unknown-technique"
    ]
    assert said == ["ATT&CK has no technique T9999", "ATT&CK has withdrawn T1002 (Old)"]


@pytest.mark.parametrize(
    ("comment", "silent"),
    [
        ("level: none  # tocsin-lint: disable=invalid-level", True),
        ("level: none\n# tocsin-lint: disable=invalid-level, file-name", True),
        ("level: none\nscope: [a1]  # tocsin-lint: disable=invalid-level", False),
        ("level: none  # tocsin-lint: disable=missing-id", False),
    ],
)
def test_comments_silence_a_line_or_a_file(tmp_path: Path, comment: str, *, silent: bool) -> None:
    """A comment at a line's end silences that line, one of its own the file; both only what they name."""
    complaints = lint_files(_files(tmp_path, one=GOOD_RULE.replace("level: medium", comment)))
    assert ("invalid-level" not in {each.lint for each in complaints}) is silent


def test_lints_can_be_switched_off(tmp_path: Path) -> None:
    """What is switched off is neither said nor mended."""
    (folder,) = _files(tmp_path, one=GOOD_RULE.replace("level: medium", "level: Medium"))
    assert "invalid-level" not in {each.lint for each in lint_files([folder], disabled=["invalid-level"])}
    assert mended_file(folder / "one.yml", ["invalid-level"])[1] == 0


@given(st.text(alphabet="title:[]{}-' \"\n*&|>#ab0%@!é\x00\t", max_size=60))
def test_never_crashes_on_text(text: str) -> None:
    """Whatever a file says, lints answer."""
    assert all(isinstance(each, Complaint) for each in _said(text))


_VALUES = st.recursive(
    st.sampled_from(["a", "'*'", "null", "1", "[]", "{}", "true", "2020-01-01", "''", "!!set {a}", "~"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.dictionaries(st.sampled_from(["a", "condition", "type", "rules", "b|re"]), inner, max_size=3).map(
            lambda parts: "{" + ", ".join(f"{key}: {value}" for key, value in parts.items()) + "}"
        )
    ),
    max_leaves=6,
)
_KEYS = st.sampled_from(
    ["title", "id", "logsource", "detection", "correlation", "filter", "tags", "related", "date", "level", "references"]
)


@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_never_crashes_on_values_of_any_kind(keys: dict[str, str]) -> None:
    """Whatever stands where, lints answer, and mending leaves YAML behind."""
    text = "".join(f"{key}: {value}\n" for key, value in keys.items())
    assert all(isinstance(each, Complaint) for each in _said(text))
    changed, _ = mended(Path(FILE_NAME), text)
    before = {each.lint for each in _said(text)}
    assert "not-yaml" in before or "not-yaml" not in {each.lint for each in _said(changed)}


@pytest.mark.slow
@pytest.mark.data
def test_public_rules_have_no_errors(public_data: Path) -> None:
    """SigmaHQ's published rules pass their own tests: an error about one of them would be ours."""
    complaints = lint_files([public_data / "sigma"])
    assert [str(each) for each in complaints if each.level is Level.ERROR] == []
    assert Counter(each.level for each in complaints)[Level.WARNING] < 50


@pytest.mark.slow
@pytest.mark.data
def test_mending_public_rules_changes_no_meaning(public_data: Path) -> None:
    """Of all public rules, mending changes none's condition; but a lone `*` becomes `exists`, which is the same."""
    changed = 0
    for path in sorted((public_data / "sigma").rglob("*.yml")):
        text = path.read_text("utf-8")
        after, count = mended(path, text, disabled=["wildcard-only"])
        if count:
            changed += 1
            before, now = (load_rule(next(documents(each, str(path))), RAW) for each in (text, after))
            assert now.condition == before.condition
    assert changed > 3


@pytest.mark.data
def test_examples_of_the_specification_are_without_errors(public_data: Path) -> None:
    """The specification's own test files break none of its rules."""
    complaints = lint_files([public_data / "sigma-spec" / "tests"], disabled=["unknown-rule", "duplicate-id"])
    assert [str(each) for each in complaints if each.level is Level.ERROR] == []


def test_errors_are_not_louder_than_the_engine() -> None:
    """A near miss, which is as a rule may be, can be compiled: an error is never about what works as it should."""
    quiet = {
        name for name, (_, misses) in CASES.items() if not any(each.level is Level.ERROR for each in _said(misses))
    }
    refused = []
    for name in sorted(quiet - {"expand-without-placeholder"}):  # what is expanded lies in another document
        try:
            for document in documents(CASES[name][1], "x.yml"):
                if "detection" in document.content:
                    load_rule(document, RAW)
        except InvalidRule as error:
            refused.append(f"{name}: {error}")
    assert refused == []


# Alone, a correlation lacks the rules that it names, and placeholders their values.
_OF_OTHERS = ("is not among the rules", "has no value; a document with `vars`")


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_the_engine_refuses_is_an_error(name: str) -> None:
    """If the engine cannot use a document, the linter says so as an error, with or without a lint of just that name."""
    for text in CASES[name]:
        refused = [error.reason for error in Loader().load([], texts=[("x.yml", text)]).refused]
        own = [reason for reason in refused if not any(other in reason for other in _OF_OTHERS)]
        if own:
            assert any(each.level is Level.ERROR for each in _said(text)), own
