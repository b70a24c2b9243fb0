"""Rules as code: what a folder of rules would change, and what is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tocsin.detect.quality.case import has_cases, run_all_cases
from tocsin.detect.quality.check import Problem, Severity, check
from tocsin.detect.sigma.document import documents
from tocsin.detect.sigma.library import load, rule_files
from tocsin.detect.sigma.reading import document_id
from tocsin.model.errors import InvalidRule
from tocsin.model.life import State
from tocsin.state.life.versions import Applied, Version, texts_of

__all__ = ["Change", "changes", "problems", "read_folder"]

# At the start of a line, and nowhere else, this ends a YAML document, even within a block of text (YAML 1.2, 9.1.2).
_BETWEEN: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)


class Change(msgspec.Struct, frozen=True):
    """What becomes of one rule."""

    kind: str  # added, changed, removed, unchanged
    rule_id: str
    title: str
    path: str
    state: str = ""  # of one that stays: active, staged, demoted or disabled
    diff: str = ""  # unified, of a changed one
    applied: Applied | None = None  # what is to be its newest version, if there is a change


def read_folder(folder: Path, ruleset: str) -> list[Applied]:
    """The documents of a folder, or of one file, as they would be applied.

    Raises:
        NotFound: there is no such path.
        InvalidRule: a file is no YAML, or is no text.
    """
    found: list[Applied] = []
    for path in rule_files([folder]):
        within = path.name if path == folder else str(path.relative_to(folder))
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRule(f"cannot be read: {error}", str(path)) from error
        for piece in _BETWEEN.split(text):
            for document in documents(piece, str(path)):
                title = document.content.get("title")
                content = piece.strip("\n") + "\n"
                found.append(Applied(document_id(document), ruleset, within, str(title or ""), content))
    return found


def changes(
    wanted: Iterable[Applied], now: Mapping[str, Version], given: Mapping[str, State], ruleset: str
) -> list[Change]:
    """What applying these documents changes in a ruleset, by path; a state that was given to a rule stays."""
    new = {each.rule_id: each for each in wanted}
    gone = (version for version in now.values() if version.ruleset == ruleset and version.rule_id not in new)
    found = [_change(each, now.get(each.rule_id), given.get(each.rule_id)) for each in new.values()]
    found += [Change("removed", was.rule_id, was.title, was.path, applied=_removal(was)) for was in gone]
    return sorted(found, key=lambda change: (change.path, change.rule_id))


def _change(new: Applied, was: Version | None, given: State | None) -> Change:
    same = Change("unchanged", new.rule_id, new.title, new.path, str(given or _state(new)))
    if was is None:
        return msgspec.structs.replace(same, kind="added", applied=new)
    if (was.content, was.path, was.ruleset) == (new.content, new.path, new.ruleset):
        return same
    return msgspec.structs.replace(same, kind="changed", diff=_diff(was, new), applied=new)


def _state(new: Applied) -> str:
    """The state that the document gives its rule."""
    said = next(documents(new.content, new.path)).content.get("tocsin")
    return str(said.get("state", State.ACTIVE)) if isinstance(said, dict) else State.ACTIVE


def _diff(was: Version, new: Applied) -> str:
    names = f"{was.path} (version {was.version})", new.path
    lines = difflib.unified_diff(was.content.splitlines(keepends=True), new.content.splitlines(keepends=True), *names)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _removal(was: Version) -> Applied:
    return Applied(was.rule_id, was.ruleset, was.path, was.title, was.content, removed=True)


def problems(folder: Path, base: Sequence[Path], others: Iterable[Version]) -> tuple[list[Problem], int]:
    """What keeps a folder from being applied beside the rules that are there; and how many of its rules have no cases.

    Everything is loaded together, so that ids are told apart and correlations find the rules that they name.
    """
    found = [
        problem
        for problem in check([*base, folder], texts=texts_of(others))
        if problem.severity is Severity.ERROR and not any(_below(problem.path, path) for path in base)
    ]
    failing, untested = _cases(folder)
    return found + failing, untested


def _below(path: str, folder: Path) -> bool:
    return path == str(folder) or path.startswith(f"{folder}/")


def _cases(folder: Path) -> tuple[list[Problem], int]:
    """The cases that go wrong, and how many rules have none."""
    rules = load([folder]).rules
    tested = [rule for rule in rules if has_cases(rule)]
    wrong = (each for each in run_all_cases(tested) if each.problem)
    failing = [
        Problem(each.rule.path, each.rule.line, Severity.ERROR, f"{each.case}: {each.problem}") for each in wrong
    ]
    return failing, len(rules) - len(tested)
