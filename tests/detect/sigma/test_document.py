"""Rule files that are no rules: refused with file, line and a plain sentence, and soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.detect.sigma.library import Library, Loader
from tocsin.detect.sigma.rule_file import read_rule_file, rule_file

_HEAD = "title: T\nid: t\nlogsource: {product: linux, category: process_creation}\n"
_BODY = "detection:\n  s: {Image: x}\n  condition: s\n"


def _load(text: str) -> Library:
    return Loader().load([], texts=[("a.yml", text)])


def _refusal(text: str) -> tuple[int, str]:
    (error,) = _load(text).refused
    assert error.path == "a.yml"
    return error.line, error.reason


def _bomb(first: str, again: str) -> str:
    """Nine lines, each of which names the one before it ten times."""
    lines = [f"x1: &x1 {first}"]
    lines += [f"x{n}: &x{n} " + again.format(", ".join([f"*x{n - 1}"] * 10)) for n in range(2, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "bomb",
    [
        _bomb("[q, q, q, q, q, q, q, q, q, q]", "[{}]") + "\ndetection:\n  s: {Image|contains: *x9}\n  condition: s\n",
        _bomb("{Image: q}", "{{<<: [{}]}}") + "\ndetection:\n  s: *x9\n  condition: s\n",
    ],
)
def test_aliases_of_aliases_are_refused_before_they_are_written_out(bomb: str) -> None:
    """A billion values in less than 1 KB: as lists of lists, and as merged maps."""
    line, reason = _refusal(_HEAD + bomb)
    assert 4 <= line < 13
    assert reason == "aliases repeat more than 100,000 values"


def test_a_long_text_that_is_repeated_counts_as_what_it_is() -> None:
    """Not as one value, since each is read anew."""
    text = f"long: &x1 {'q' * 1_000_000}\nx2: [{', '.join(['*x1'] * 20)}]\n"
    assert _refusal(_HEAD + text + _BODY)[1] == "aliases repeat more than 100,000 values"


@pytest.mark.parametrize("endless", ["s: &a [*a]", "s: &a {Image: *a}", "s: &a [{Image: [*a]}]", "s: &a {<<: *a}"])
def test_an_alias_that_contains_itself_is_refused(endless: str) -> None:
    """With the line that it is in."""
    text = f"{_HEAD}detection:\n  {endless}\n  condition: s\n"
    assert _refusal(text) == (5, "an alias contains itself")


def test_aliases_within_measure_are_used() -> None:
    """A list named twice, and a map merged into another."""
    body = "detection:\n  a: {Image: &x [q, r]}\n  b: &b {CommandLine: *x}\n  c: {<<: *b, User: u}\n"
    library = _load(f"{_HEAD}{body}  condition: a and c\n")
    assert not library.refused
    assert library.rules[0].id == "t"


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("!!python/object/apply:os.system [id]", "!!python/object/apply:os.system"),
        ("!!python/object:x.Y {a: b}", "!!python/object:x.Y"),
        ("!!python/name:os.system ''", "!!python/name:os.system"),
        ("!mine x", "!mine"),
        ("!!binary eA==", "!!binary"),
        ("!!set {a}", "!!set"),
    ],
)
def test_a_tag_that_means_nothing_is_refused(value: str, tag: str) -> None:
    """It is not dropped without a word; on a list, a map or a text, also of the whole document."""
    text = f"{_HEAD}detection:\n  s:\n    Image: {value}\n  condition: s\n"
    assert _refusal(text) == (6, f"tag {tag} means nothing in a rule")
    assert _refusal(f"--- {value}\n")[0] == 1


def test_tags_that_yaml_knows_and_lone_signs_are_values() -> None:
    """A number as text by tag; `=` and `<<` are texts where they are values."""
    body = "detection:\n  s: {Image: !!str 46, User: [=, <<]}\n  condition: s\n"
    assert not _load(_HEAD + body).refused


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2024-13-01", "'2024-13-01' is not a valid date: month must be in 1..12"),
        ("2024-01-02 25:00:00", "'2024-01-02 25:00:00' is not a valid date: hour must be in 0..23"),
        ("!!int x", "'x' is not a valid int"),
        ("!!bool x", "'x' is not a valid bool"),
        ("!!float x", "'x' is not a valid float"),
        ("!!timestamp x", "'x' is not a valid date"),
    ],
)
def test_a_wrong_value_is_refused_where_it_stands(value: str, reason: str) -> None:
    """It is YAML all the same, and nobody is told that it is not."""
    assert _refusal(f"{_HEAD}date: {value}\n{_BODY}") == (4, reason)


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (_HEAD.encode("utf-16"), 1, "the file is in UTF-16; a rule file must be in UTF-8"),
        (b"title: x\n\x7fELF\xff\n", 2, "a rule file must be a text in UTF-8; byte 0xff here cannot be"),
        (b"title: x\nid: \xc3\xa4\x01\n", 2, "not YAML: control characters are not allowed"),
        (b"title: x\nid: @\n", 2, "not YAML: found character that cannot start any token"),
        (b"title: x\n---\na: " + b"[" * 3000 + b"]" * 3000, 2, "lists and maps are nested too deeply"),
    ],
)
def test_what_is_no_yaml_is_refused_with_a_line(content: bytes, line: int, words: str) -> None:
    """Also other encodings, binary files and what no parser can nest so deeply."""
    (error,) = rule_file("a.yml", content, None).refused
    assert (error.line, error.reason) == (line, words)


def test_a_file_that_cannot_be_read_is_refused_in_its_first_line(tmp_path: Path) -> None:
    """A folder in the place of a file."""
    (error,) = read_rule_file(tmp_path, None).refused
    assert (error.line, error.reason) == (1, "cannot be read: Is a directory")


@pytest.mark.parametrize("deep", ["[" * 200_000 + "]" * 200_000, "\n" + "- " * 200_000, "\n" + "? " * 200_000])
def test_what_would_overflow_the_stack_is_refused(deep: str) -> None:
    """Not even the process would be left to say so; long files that are flat are read."""
    line = 1 + deep.count("\n")
    assert _refusal(f"x:{deep.replace('[', ' [', 1)}\n") == (line, "lists and maps are nested too deeply")
    assert not _load(f"{_HEAD}x: [{'[], ' * 20_000}]\n{_BODY}").refused
