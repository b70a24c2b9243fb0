"""Which rules a command is about."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.config import Settings
from tocsin.model.errors import NotFound

if TYPE_CHECKING:
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
    from tocsin.wiring.active_rules import active_library

    return _usable(active_library(settings))


def _usable(library: Library) -> tuple[Rule, ...]:
    for error in library.refused:
        typer.echo(f"not used: {error}", err=True)
    return library.rules


def named_library(names: Iterable[str], settings: Settings) -> Library:
    """The rules and correlations of these files and folders, and the active rules of these ids; all active if none.

    Raises:
        NotFound: a name is no path, and no active rule has that id.
    """
    from tocsin.detect.sigma.library import Library, load
    from tocsin.wiring.active_rules import active_library

    wanted = list(names)
    paths = [Path(name) for name in wanted if Path(name).exists()]
    ids = {name for name in wanted if not Path(name).exists()}
    active = active_library(settings) if ids or not wanted else Library((), ())
    unknown = ids - {rule.id for rule in active.rules}
    if unknown:
        raise NotFound(f"{min(unknown)}: neither a file or folder nor the id of an active rule")
    if not wanted:
        _usable(active)
        return active
    given = load(paths)
    chosen = [*(rule for rule in active.rules if rule.id in ids), *_usable(given)]
    return Library(tuple({rule.id: rule for rule in chosen}.values()), (), given.correlations)
