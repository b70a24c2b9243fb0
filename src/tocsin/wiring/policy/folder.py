"""Applying files of capture policies to the state: planned and checked first, then whole or not at all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import sqlalchemy as sa

from tocsin.agent.policy.read import read_policy, remarks
from tocsin.api.policies import checked_policy, problems_of
from tocsin.model.errors import InvalidSetting, NotFound
from tocsin.state.engine import reading
from tocsin.state.policies import NewPolicy, PolicyVersion, add_policies, current_policies

__all__ = ["PolicyChange", "PolicyPlan", "apply_policies", "plan_policies", "read_files"]

_SUFFIX = ".toml"


class PolicyChange(msgspec.Struct, frozen=True):
    """What becomes of one policy."""

    kind: str  # added, changed, removed, unchanged
    name: str
    agents: list[dict[str, str]]
    diff: str
    remarks: list[str]


class PolicyPlan(msgspec.Struct, frozen=True):
    """What applying would change, and why it cannot be applied, if it cannot."""

    changes: list[PolicyChange]
    problems: list[str]

    def count(self, kind: str) -> int:
        """How many changes there are of that kind."""
        return sum(change.kind == kind for change in self.changes)

    @property
    def differs(self) -> bool:
        return self.count("unchanged") < len(self.changes)


def read_files(path: Path) -> dict[Path, str]:
    """The policy files of a folder, or the one file.

    Raises:
        NotFound: there is no such file or folder, or the folder holds none.
        InvalidSetting: a file cannot be read.
    """
    files = sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise NotFound(f"{path}: no such file or folder, or no {_SUFFIX} file in it")
    return {file: _text(file) for file in files}


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise InvalidSetting(f"{file}: {reason}") from error


def plan_policies(state: sa.Engine, org: str, path: Path) -> PolicyPlan:
    """What applying a file, or a folder as a whole, would change.

    Raises:
        NotFound, InvalidSetting: as `read_files`.
    """
    wrong, wanted = _read(path)
    if wrong:
        return PolicyPlan([], wrong)
    with reading(state) as connection:
        return PolicyPlan(_changes(current_policies(connection, org), wanted, _folder(path)), [])


def apply_policies(state: sa.Engine, org: str, path: Path, author: str, now_ms: int) -> PolicyPlan:
    """Make the files the newest versions, if nothing is wrong with any; gives what was planned.

    Policies that an earlier apply took from a folder of that name, and that it no longer holds, are removed.

    Raises:
        NotFound, InvalidSetting: as `read_files`.
    """
    wrong, wanted = _read(path)
    if wrong:
        return PolicyPlan([], wrong)
    with state.begin() as connection:
        changes = _changes(current_policies(connection, org), wanted, _folder(path))
        differing = {change.name: change for change in changes if change.kind != "unchanged"}
        new = [each for each in wanted if each.name in differing]
        new += [_gone(change, _folder(path)) for change in differing.values() if change.kind == "removed"]
        add_policies(connection, org, new, author, now_ms)
    return PolicyPlan(changes, [])


def _folder(path: Path) -> str:
    return path.resolve().name if path.is_dir() else ""


def _read(path: Path) -> tuple[list[str], list[NewPolicy]]:
    texts = read_files(path)
    wrong = [problem for file, text in texts.items() for problem in problems_of(file.stem, text, str(file))]
    if wrong:
        return wrong, []
    return [], [checked_policy(file.stem, text, _folder(path)) for file, text in texts.items()]


def _changes(current: Iterable[PolicyVersion], wanted: Iterable[NewPolicy], folder: str) -> list[PolicyChange]:
    known = {each.name: each for each in current}
    named = {each.name for each in wanted}
    changes = [_change(known.get(each.name), each) for each in wanted]
    gone = [each for each in known.values() if folder and each.folder == folder and each.name not in named]
    return changes + [PolicyChange("removed", each.name, each.agents, _diff(each.content, ""), []) for each in gone]


def _change(known: PolicyVersion | None, wanted: NewPolicy) -> PolicyChange:
    before = known.content if known else ""
    kind = "added" if known is None else "unchanged" if before == wanted.content else "changed"
    said = remarks(read_policy(wanted.content, wanted.name))
    return PolicyChange(kind, wanted.name, wanted.agents, _diff(before, wanted.content) if known else "", said)


def _gone(change: PolicyChange, folder: str) -> NewPolicy:
    return NewPolicy(change.name, "", change.agents, folder, removed=True)


def _diff(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++")))
