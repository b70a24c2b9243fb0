"""Which rules a command is about."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.config import Settings

if TYPE_CHECKING:
    from tocsin.model.rule import Rule

__all__ = ["PathsArgument", "active_paths", "usable_rules"]

PathsArgument = Annotated[list[Path] | None, typer.Argument(help="Rule files or folders; the active ones if none.")]


def active_paths(settings: Settings) -> list[Path]:
    """The files and folders of the active rules."""
    from tocsin.detect.sigma.library import ruleset_folder

    return [*map(ruleset_folder, settings.rulesets), *settings.rules]


def usable_rules(paths: Iterable[Path]) -> tuple[Rule, ...]:
    """The rules that can be used; why the others cannot is said on standard error."""
    from tocsin.detect.sigma.library import load

    library = load(paths)
    for error in library.refused:
        typer.echo(f"not used: {error}", err=True)
    return library.rules
