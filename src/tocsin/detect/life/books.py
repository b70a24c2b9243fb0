"""Where rules come from: built-in rulesets and the folders of the settings for all orgs, applied ones for their own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa

from tocsin.detect.life.placement import OrgRules
from tocsin.detect.sigma.library import Library, Loader, rule_files, ruleset_folder
from tocsin.model.correlation import Correlation
from tocsin.model.life import State
from tocsin.model.rule import Rule
from tocsin.state.life.changes import change_numbers
from tocsin.state.life.states import Given, all_states
from tocsin.state.life.suppressions import Suppression, listed
from tocsin.state.life.tags import all_tags, assignments
from tocsin.state.life.versions import Version, current, texts_of
from tocsin.state.tables import org

__all__ = ["RuleBooks", "Said", "Stamp", "read_said"]

Stamp = tuple[tuple[str, int, int], ...]


class Said(msgspec.Struct, frozen=True):
    """What the state says about rules, all of it by org."""

    changes: dict[str, int]
    versions: dict[str, dict[str, Version]]
    states: dict[str, dict[str, Given]]
    tags: dict[str, dict[str, dict[str, str]]]
    assigned: dict[str, dict[str, list[dict[str, str]]]]
    suppressions: list[Suppression]


def read_said(connection: sa.Connection) -> Said:
    """What the state says about rules, as one consistent picture."""
    orgs = connection.scalars(sa.select(org.c.id).order_by(org.c.id))
    versions = {each: current(connection, each) for each in list(orgs)}
    states, tags, assigned = all_states(connection), all_tags(connection), assignments(connection)
    return Said(change_numbers(connection), versions, states, tags, assigned, listed(connection))


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


class RuleBooks:
    """The rules of every org; a file or version that says what it said before is not compiled again."""

    def __init__(self, rulesets: Sequence[str] = (), paths: Sequence[Path] = ()) -> None:
        """Take the built-in rulesets and the folders that are there for all orgs.

        Raises:
            NotFound: there is no ruleset of that name.
        """
        self._own = tuple(paths)
        self._folders = {name: ruleset_folder(name) for name in rulesets}
        self._paths = [*self._folders.values(), *paths]
        self._folders |= {path.stem if path.is_file() else path.name: path for path in paths}
        self._loaders: dict[str, Loader] = {}

    def stamp(self) -> Stamp:
        """What is different when a rule file of the folders was changed, added or removed; built-in ones never are."""
        return tuple(_stamp(path) for path in rule_files(path for path in self._own if path.exists()))

    def read(self, said: Said) -> dict[str, Library]:
        """The library of every org.

        Raises:
            NotFound: a path of the settings does not exist.
        """
        # Orgs without rules of their own share one loader, and with it every compiled rule.
        found: dict[str, Library] = {}
        for each, versions in said.versions.items():
            key = each if versions else ""
            if key not in found:
                loader = self._loaders.setdefault(key, Loader())
                found[key] = loader.load(self._paths, texts=texts_of(versions.values()))
        return {each: _sharing(found[each if versions else ""], found) for each, versions in said.versions.items()}

    def org_rules(self, of: str, library: Library, said: Said) -> OrgRules:
        """What counts for an org."""
        versions = said.versions.get(of, {})
        applied = {rule_id: version.ruleset for rule_id, version in versions.items()}
        every: list[Rule | Correlation] = [*library.rules, *library.correlations]
        return OrgRules(
            rules={rule.id: rule for rule in library.rules},
            correlations=library.correlations,
            only_for_correlations=library.silent,
            rulesets={each.id: each.life.ruleset or applied.get(each.id) or self._folder(each.path) for each in every},
            given={rule_id: State(given.state) for rule_id, given in said.states.get(of, {}).items()},
            tags=said.tags.get(of, {}),
            assigned=said.assigned.get(of, {}),
        )

    def _folder(self, path: str) -> str:
        """The ruleset that a file of a folder belongs to."""
        names = (name for name, folder in self._folders.items() if _below(path, folder))
        return next(names, "")


def _below(path: str, folder: Path) -> bool:
    return path == str(folder) or path.startswith(f"{folder}{os.sep}")


def _sharing(library: Library, found: Mapping[str, Library]) -> Library:
    """The library with the common one's very rules where it says the same, so that these are compiled once."""
    common = found.get("")
    if common is None or common is library:
        return library
    known = {rule.id: rule for rule in common.rules}
    return msgspec.structs.replace(library, rules=tuple(_same(rule, known.get(rule.id)) for rule in library.rules))


def _same(rule: Rule, common: Rule | None) -> Rule:
    return common if common is not None and common == rule else rule
