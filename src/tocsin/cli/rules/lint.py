"""`tocsin rules lint`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.progress import progress
from tocsin.cli.rules.given import PathsArgument, active_paths
from tocsin.cli.settings import ConfigOption, JsonOption, load_settings
from tocsin.model.errors import BadInput

if TYPE_CHECKING:
    from tocsin.detect.quality.lint.run import Complaint

__all__ = ["add_to"]

_LEVELS = ("error", "warning", "info")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(lint)


def lint(  # noqa: PLR0913, PLR0917 -- the parameters are the options
    paths: PathsArgument = None,
    level: Annotated[str, typer.Option(help="Show what is at least so grave: error, warning, info.")] = "warning",
    disable: Annotated[list[str] | None, typer.Option(help="A lint to switch off; may be given often.")] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend in the files what can be mended safely.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 for whatever is shown, not only errors.")
    ] = False,
    attack: Annotated[Path | None, typer.Option(help="ATT&CK's techniques (STIX or JSON), to check tags.")] = None,
    explain: Annotated[bool, typer.Option("--list", help="List the lints and leave.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold rule files against the Sigma specification and good practice; exit code 1 if there is an error."""
    if explain:
        _list(as_json)
        return
    _known(level, disable or ())
    chosen = paths or active_paths(load_settings(config))
    if fix:
        typer.echo(f"{_mend(chosen, disable or ())} mended", err=True)
    complaints = _complaints(chosen, disable or (), attack)
    shown = [each for each in complaints if _LEVELS.index(each.level) <= _LEVELS.index(level)]
    for complaint in shown:
        typer.echo(msgspec.json.encode(complaint) if as_json else str(complaint))
    if not as_json:
        _summary(complaints, shown)
    if any(strict or complaint.level == "error" for complaint in shown):
        raise typer.Exit(1)


def _known(level: str, disabled: Collection[str]) -> None:
    from tocsin.detect.quality.lint.catalogue import LINTS, near

    if level not in _LEVELS:
        raise BadInput(f"level {level!r} is none of {', '.join(_LEVELS)}")
    for name in disabled:
        if name not in LINTS:
            meant = near(name, LINTS)
            raise BadInput(f"there is no lint {name!r}{f'; did you mean {meant}?' if meant else ''}; --list lists them")


def _complaints(paths: list[Path], disabled: Collection[str], attack: Path | None) -> list[Complaint]:
    from tocsin.detect.quality.attack import read_techniques
    from tocsin.detect.quality.lint.run import lint_files

    techniques = read_techniques(attack) if attack else None
    with progress("files") as bar:
        return lint_files(paths, disabled=disabled, techniques=techniques, progress=bar)


def _mend(paths: list[Path], disabled: Collection[str]) -> int:
    from tocsin.detect.quality.lint.run import mended_file
    from tocsin.detect.sigma.library import rule_files

    total = 0
    for path in rule_files(paths):
        text, count = mended_file(path, disabled)
        if count:
            with path.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
        total += count
    return total


def _summary(complaints: list[Complaint], shown: list[Complaint]) -> None:
    counts = Counter(str(each.level) for each in complaints)
    mendable = sum(each.fixable for each in complaints)
    hidden = len(complaints) - len(shown)
    said = f"{counts['error']} errors, {counts['warning']} warnings, {counts['info']} notes"
    more = (f"; {mendable} can be mended by --fix" if mendable else "") + ("; --level info shows all" if hidden else "")
    typer.echo(said + more)


def _list(as_json: bool) -> None:
    from tocsin.detect.quality.lint.catalogue import LINTS

    for each in sorted(LINTS.values(), key=lambda lint: lint.id):
        if as_json:
            described = {"id": each.id, "level": each.level, "promise": each.promise, "fixes": each.fixes}
            typer.echo(msgspec.json.encode(described))
        else:
            typer.echo(f"{each.id:30} {each.level:8} {'fix ' if each.fixes else '    '} {each.promise}")
