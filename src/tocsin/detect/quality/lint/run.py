"""Run all lints over files: what each finds, what comments in the files silence, and what can be mended."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import yaml

from tocsin.detect.quality.attack import Technique
from tocsin.detect.quality.lint.catalogue import ACROSS, LINTS
from tocsin.detect.quality.lint.registry import Issue, Level, Lint
from tocsin.detect.quality.lint.techniques import UNKNOWN_TECHNIQUE, unknown_techniques
from tocsin.detect.quality.lint.text import Edit, RuleText, rule_texts
from tocsin.detect.sigma.library import rule_files
from tocsin.detect.sigma.rule_file import not_utf8
from tocsin.model.errors import InvalidRule

__all__ = ["Complaint", "lint_files", "lint_text", "mended", "mended_file"]

_SILENCE: Final = re.compile(r"#\s*tocsin-lint:\s*disable=([\w, -]+)")
_PASSES: Final = 6  # a mended file may show what the mistake hid


class Complaint(msgspec.Struct, frozen=True, order=True):
    """What a lint says about a place in a file."""

    path: str
    line: int
    lint: str
    level: Level
    text: str
    fixable: bool = False

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.level}: {self.text} [{self.lint}]"


Techniques = dict[str, Technique]


def lint_files(
    paths: Iterable[Path],
    *,
    disabled: Collection[str] = (),
    techniques: Techniques | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Complaint]:
    """What is to be said about all rule files in these files and folders, by file and line.

    Raises:
        NotFound: a path does not exist.
    """
    rules: list[RuleText] = []
    complaints: list[Complaint] = []
    files = list(rule_files(paths))
    for count, path in enumerate(files, 1):
        found, issues = _read(path)
        rules += found
        complaints += issues
        complaints += [each for rule in found for each in _of_rule(rule, techniques)]
        progress(count, len(files))
    for check in ACROSS:
        if check.check_across is not None:
            complaints += [_complaint(rule, check, issue) for rule, issue in check.check_across(rules)]
    return sorted(_heard(complaints, rules, disabled))


def _heard(complaints: list[Complaint], rules: list[RuleText], disabled: Collection[str]) -> Iterator[Complaint]:
    """Without those that are switched off, everywhere or by a comment in the file."""
    silenced = {str(rule.path): _silenced(rule.text) for rule in rules if "tocsin-lint" in rule.text}
    for each in complaints:
        lines = silenced.get(each.path, {}).get(each.lint, ())
        if each.lint not in disabled and each.line not in lines and 0 not in lines:
            yield each


def _silenced(text: str) -> dict[str, set[int]]:
    """Lint -> lines where it is silent; line 0 stands for the file, which a comment on a line of its own means."""
    silenced: dict[str, set[int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _SILENCE.search(line)
        for name in re.split(r"[\s,]+", found[1].strip()) if found else ():
            alone = found is not None and not line[: found.start()].strip()
            silenced.setdefault(name, set()).add(0 if alone else number)
    return silenced


def _read(path: Path) -> tuple[list[RuleText], list[Complaint]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        return [], [_of_file(path, 0, "not-readable", f"the file cannot be read: {error}")]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        why = not_utf8(content, error.start, str(path))
        return [], [_of_file(path, why.line, "not-readable", why.reason)]
    return _parsed(path, text)


def _parsed(path: Path, text: str) -> tuple[list[RuleText], list[Complaint]]:
    rules: list[RuleText] = []
    complaints: list[Complaint] = []
    try:
        for found in rule_texts(path, text):
            if isinstance(found, RuleText):
                rules.append(found)
            else:
                line = found.start_mark.line + 1
                complaints.append(_of_file(path, line, "not-a-map", "a rule must be a map of keys"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        complaints.append(
            _of_file(path, mark.line + 1 if mark else 0, "not-yaml", f"not YAML: {error.problem or error}")
        )
    except InvalidRule as error:
        complaints.append(_of_file(path, error.line, "not-yaml", error.reason))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        complaints.append(_of_file(path, 1, "not-yaml", f"not YAML: {error}"))
    return rules, complaints


def _of_file(path: Path, line: int, name: str, text: str) -> Complaint:
    return Complaint(str(path), line, name, LINTS[name].level, text)


def _of_rule(rule: RuleText, techniques: Techniques | None) -> Iterator[Complaint]:
    for check, issue in _issues(rule):
        yield _complaint(rule, check, issue)
    for issue in unknown_techniques(rule, techniques) if techniques else ():
        yield _complaint(rule, UNKNOWN_TECHNIQUE, issue)


def _issues(rule: RuleText) -> Iterator[tuple[Lint, Issue]]:
    for check in LINTS.values():
        if check.check is not None and rule.kind in check.kinds:
            for issue in check.check(rule):
                yield check, issue


def _mendable(rule: RuleText, disabled: Collection[str]) -> Iterator[Issue]:
    for check in LINTS.values():
        if check.fixes and check.check is not None and rule.kind in check.kinds and check.id not in disabled:
            yield from (issue for issue in check.check(rule) if issue.edits)


def _complaint(rule: RuleText, check: Lint, issue: Issue) -> Complaint:
    return Complaint(str(rule.path), issue.line, check.id, check.level, issue.text, bool(issue.edits))


def lint_text(path: Path, text: str) -> list[Complaint]:
    """What is to be said about one file's text, by itself; comments silence nothing."""
    rules, complaints = _parsed(path, text)
    return sorted([*complaints, *(each for rule in rules for each in _of_rule(rule, None))])


def mended_file(path: Path, disabled: Collection[str] = ()) -> tuple[str, int]:
    """The text of a file with all that can be mended mended, and how many issues that were; comments silence it.

    A file that cannot be read stays as it is: its text is then empty.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return "", 0
    silenced = _silenced(text)
    return mended(path, text, {*disabled, *(name for name, lines in silenced.items() if lines)})


def mended(path: Path, text: str, disabled: Collection[str] = ()) -> tuple[str, int]:
    """The text with all that can be mended mended, and how many issues that were; all else stays as it stands."""
    total = 0
    for _ in range(_PASSES):
        rules, _ = _parsed(path, text)
        issues = [issue for rule in rules for issue in _mendable(rule, disabled)]
        after, count = _edited(text, issues)
        # An edit that breaks the file would be worse than what it mends.
        if not count or _parsed(path, after)[1]:
            break
        text, total = after, total + count
    return text, total


def _edited(text: str, issues: list[Issue]) -> tuple[str, int]:
    """The text after the edits of all issues that do not touch the same place as an earlier one."""
    taken: set[int] = set()
    edits: list[Edit] = []
    count = 0
    for issue in issues:
        places = {place for edit in issue.edits for place in range(edit.start, max(edit.end, edit.start + 1))}
        if taken.isdisjoint(places):
            taken |= places
            edits += issue.edits
            count += 1
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text, count
