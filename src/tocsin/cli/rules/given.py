"""Which rules a command is about."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.model.errors import NotFound

if TYPE_CHECKING:
    from tocsin.config import Settings
    from tocsin.detect.sigma.library import Library
    from tocsin.detect.sigma.logsource import Mapping
    from tocsin.model.rule import Rule

__all__ = ["PathsArgument", "active_paths", "active_rules", "named_library", "usable_library", "usable_rules"]

PathsArgument = Annotated[list[Path] | None, typer.Argument(help="Rule files or folders; the active ones if none.")]


def active_paths(settings: Settings) -> list[Path]:
    """The files and folders of the active rules."""
    from tocsin.detect.sigma.library import ruleset_folder

    return [*map(ruleset_folder, settings.rulesets), *settings.rules]


def usable_library(paths: Iterable[Path], mapping: Mapping | None = None) -> Library:
    """What the paths hold; why some of it cannot be used is said on standard error."""
    from tocsin.detect.sigma.library import load

    library = load(paths, mapping)
    _usable(library)
    return library


def usable_rules(paths: Iterable[Path]) -> tuple[Rule, ...]:
    """The rules that can be used; why the others cannot is said on standard error."""
    return usable_library(paths).rules


def active_rules(settings: Settings) -> tuple[Rule, ...]:
    """The rules of the settings, and those that were applied; why others cannot be used is said on standard error."""
    from tocsin.wiring.rules.active import active_library

    return _usable(active_library(settings))


def _usable(library: Library) -> tuple[Rule, ...]:
    for error in library.refused:
        typer.echo(f"not used: {error}", err=True)
    return library.rules


def named_library(names: Iterable[str], settings: Settings) -> Library:
    """The rules and correlations of these files and folders, and the active ones of these ids; all active if none.

    With a rule come the correlations that look at it, and with a correlation all that it looks at.

    Raises:
        NotFound: a name is no path, and no active rule or correlation has that id.
    """
    from tocsin.detect.sigma.library import load
    from tocsin.wiring.rules.active import active_library

    wanted = list(names)
    paths = [Path(name) for name in wanted if Path(name).exists()]
    ids = {name for name in wanted if not Path(name).exists()}
    active = active_library(settings) if ids or not wanted else None
    if active is None or not ids:
        library = active or load(paths)
        _usable(library)
        return library
    unknown = ids - {rule.id for rule in active.rules} - {each.id for each in active.correlations}
    if unknown:
        raise NotFound(f"{min(unknown)}: neither a file or folder nor the id of an active rule or correlation")
    given = load(paths)
    _usable(given)
    return _united(_around(active, ids), given)


def _around(library: Library, ids: set[str]) -> Library:
    """What the ids name, with all that it takes to judge it."""
    from tocsin.detect.sigma.library import Library

    # Outer correlations come first: seen from the inside, each knows whether what it looks at was named.
    above = set(ids)
    for each in reversed(library.correlations):
        if any(member.rule in above for member in each.members):
            above.add(each.id)
    below = set(above)
    for each in library.correlations:
        if each.id in below:
            below |= {member.rule for member in each.members}
    rules = tuple(rule for rule in library.rules if rule.id in below)
    return Library(rules, (), tuple(each for each in library.correlations if each.id in below))


def _united(first: Library, second: Library) -> Library:
    """Both; what has the same id is as the second has it."""
    from tocsin.detect.sigma.library import Library

    rules = {rule.id: rule for rule in (*first.rules, *second.rules)}
    correlations = {each.id: each for each in (*first.correlations, *second.correlations)}
    return Library(tuple(rules.values()), (), tuple(correlations.values()))
