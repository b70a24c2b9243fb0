"""Rule files that are no rules: refused with file, line and a plain sentence, and soon."""

from __future__ import annotations

import pytest

from tocsin.detect.sigma.library import Library, Loader

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
