"""Applying folders of rules to the state: planned and checked first, then whole or not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import sqlalchemy as sa

from tocsin.config import Settings
from tocsin.detect.life.plan import Change, changes, problems, read_folder
from tocsin.detect.quality.check import Severity, check
from tocsin.detect.sigma.library import ruleset_folder
from tocsin.model.errors import InvalidRule, NotFound, WrongState
from tocsin.state.engine import reading
from tocsin.state.life.changes import note_change
from tocsin.state.life.states import states
from tocsin.state.life.versions import Applied, Version, add_version, current, history, texts_of

__all__ = ["Plan", "apply", "plan", "roll_back"]


class Plan(msgspec.Struct, frozen=True):
    """What applying a folder would change, and why it cannot be applied, if it cannot."""

    ruleset: str
    changes: list[Change]
    problems: list[str]
    untested: int  # rules without cases

    def count(self, kind: str) -> int:
        """How many changes there are of that kind."""
        return sum(change.kind == kind for change in self.changes)


def plan(state: sa.Engine, settings: Settings, folder: Path, ruleset: str) -> Plan:
    """What applying the folder as that ruleset would change.

    Raises:
        NotFound: there is no such folder.
    """
    with reading(state) as connection:
        return _plan(connection, settings, folder, ruleset)


def apply(state: sa.Engine, settings: Settings, folder: Path, ruleset: str, author: str, now_ms: int) -> Plan:
    """Make the folder's rules the newest versions, if nothing is wrong with any of them; gives what was planned.

    Raises:
        NotFound: there is no such folder.
    """
    # Checked before the transaction, which is to be short, and planned within it, in case somebody else was faster.
    planned = plan(state, settings, folder, ruleset)
    if planned.problems:
        return planned
    with state.begin() as connection:
        wanted = _changes(connection, settings.org, read_folder(folder, ruleset), ruleset)
        new = [change.applied for change in wanted if change.applied is not None]
        add_version(connection, settings.org, new, author, now_ms)
        if new:
            note_change(connection, settings.org, now_ms)
    return msgspec.structs.replace(planned, changes=wanted)


def _plan(connection: sa.Connection, settings: Settings, folder: Path, ruleset: str) -> Plan:
    now = current(connection, settings.org)
    try:
        wanted = read_folder(folder, ruleset)
    except InvalidRule as error:
        return Plan(ruleset, [], [str(error)], 0)
    others = [version for version in now.values() if version.ruleset != ruleset]
    found, untested = problems(folder, _base(settings), others)
    planned = _changes(connection, settings.org, wanted, ruleset)
    return Plan(ruleset, planned, [str(problem) for problem in found], untested)


def _changes(connection: sa.Connection, org: str, wanted: list[Applied], ruleset: str) -> list[Change]:
    given = {rule_id: said.state for rule_id, said in states(connection, org).items()}
    return changes(wanted, current(connection, org), given, ruleset)


def _base(settings: Settings) -> list[Path]:
    return [*map(ruleset_folder, settings.rulesets), *settings.rules]


def roll_back(
    state: sa.Engine, settings: Settings, rule_id: str, version: int | None, author: str, now_ms: int
) -> Version:
    """Make an older version of a rule its newest one, the last but one if none is named; gives the new one.

    Raises:
        NotFound: the rule has no such version.
        WrongState: there is nothing to go back to, or what was valid then is no longer.
    """
    with reading(state) as connection:
        wanted = _older(history(connection, settings.org, rule_id), version)
        kept = {**current(connection, settings.org), rule_id: wanted}
    _must_fit(settings, kept)
    again = Applied(rule_id, wanted.ruleset, wanted.path, wanted.title, wanted.content, wanted.removed)
    with state.begin() as connection:
        add_version(connection, settings.org, [again], author, now_ms)
        note_change(connection, settings.org, now_ms)
        return history(connection, settings.org, rule_id)[0]


def _older(versions: list[Version], version: int | None) -> Version:
    rule_id = versions[0].rule_id
    if version is None:
        if len(versions) == 1:
            raise WrongState(f"rule {rule_id} has one version only; there is nothing to go back to")
        return versions[1]
    found = next((each for each in versions if each.version == version), None)
    if found is None:
        raise NotFound(f"rule {rule_id} has no version {version}; it has 1 to {versions[0].version}")
    return found


def _must_fit(settings: Settings, versions: dict[str, Version]) -> None:
    kept = list(texts_of(version for version in versions.values() if not version.removed))
    names = {name for name, _ in kept}
    wrong = (each for each in check(_base(settings), texts=kept) if each.path in names)
    for problem in wrong:
        if problem.severity is Severity.ERROR:
            raise WrongState(f"that version does not fit the rules that are there now: {problem}")
