"""`tocsin rules coverage`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.rules.given import PathsArgument
from tocsin.cli.rules.in_force import in_force
from tocsin.cli.rules.seen import seen_rules
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, load_settings
from tocsin.model.errors import BadInput

if TYPE_CHECKING:
    from tocsin.detect.quality.attack import Technique
    from tocsin.detect.quality.coverage import Coverage, Tactic, Tagged

__all__ = ["add_to"]

_SHOWN = 3  # gaps that a row of the table names
_PIPE_WIDTH = 200


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(coverage)


def coverage(  # noqa: PLR0913, PLR0917 -- the parameters are the options
    paths: PathsArgument = None,
    attack: Annotated[
        Path | None, typer.Option(help="ATT&CK's techniques: MITRE's enterprise-attack.json, or a JSON list.")
    ] = None,
    platform: Annotated[
        list[str] | None, typer.Option(help="Only techniques of this platform: linux, containers, iaas.")
    ] = None,
    navigator: Annotated[Path | None, typer.Option(help="Write a layer for ATT&CK Navigator to this file.")] = None,
    gaps: Annotated[bool, typer.Option("--gaps", help="List every technique without a rule.")] = False,
    last: Annotated[str, typer.Option(help="Matches of how long a time count: 30d, 24h.")] = "90d",
    fail_under: Annotated[float, typer.Option(help="Exit code 1 if less per cent of techniques have a rule.")] = 0.0,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which ATT&CK techniques the rules cover, which of them have fired here, and where the gaps are."""
    from tocsin.detect.quality.coverage import coverage, navigator_layer

    settings = load_settings(config, data_dir=data_dir)
    known = _known(attack, platform or [], fail_under, gaps=gaps)
    seen = seen_rules(settings, last)
    matches = None if seen is None else {rule: each.matches for rule, each in seen.items()}
    rules = in_force(settings, paths)
    rules.say_refused()
    every: list[Tagged] = [*rules.library.rules, *rules.library.correlations]
    found = coverage(every, known, platform or (), matches)
    if navigator:
        layer = navigator_layer(found, f"Tocsin {settings.org}", _exact(platform or [], known))
        navigator.write_bytes(msgspec.json.format(msgspec.json.encode(layer)))
    if as_json:
        typer.echo(msgspec.json.encode(found))
    else:
        _print(found, last if matches is not None else "", gaps=gaps)
    if found.complete and found.percent < fail_under:
        raise typer.Exit(1)


def _known(attack: Path | None, platforms: list[str], least: float, *, gaps: bool) -> dict[str, Technique] | None:
    from tocsin.detect.quality.attack import read_techniques
    from tocsin.detect.quality.coverage import known_platforms

    if attack is None:
        if platforms or least or gaps:
            raise BadInput(f"--platform, --gaps and --fail-under need ATT&CK's own list: {_HOW}")
        return None
    known = read_techniques(attack)
    folded = {each.casefold() for each in known_platforms(known)}
    for platform in platforms:
        if platform.casefold() not in folded:
            raise BadInput(f"ATT&CK has no platform {platform!r}; it has {', '.join(known_platforms(known))}")
    return known


_HOW = "get enterprise-attack.json from MITRE (github.com/mitre-attack/attack-stix-data) and name it with --attack"


def _exact(platforms: list[str], known: dict[str, Technique] | None) -> list[str]:
    """Platforms as ATT&CK writes them."""
    from tocsin.detect.quality.coverage import known_platforms

    wanted = {platform.casefold() for platform in platforms}
    return [each for each in known_platforms(known or {}) if each.casefold() in wanted]


def _print(found: Coverage, last: str, *, gaps: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    table.add_column("Tactic")
    for heading in ("Techniques", *([f"Fired in {last}"] if last else [])):
        table.add_column(heading, justify="right")
    if found.complete:
        table.add_column("Gaps")
    for tactic in found.tactics:
        total = tactic.covered + len(tactic.gaps)
        row = [tactic.name, f"{tactic.covered} of {total}" if found.complete else str(tactic.covered)]
        row += [str(tactic.fired)] if last else []
        table.add_row(*row, *([_gaps(tactic)] if found.complete else []))
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(table)
    for line in _summary(found, last):
        typer.echo(line)
    for each in found.techniques if gaps else ():
        if not each.rules:
            typer.echo(f"{each.id:10} {each.name}  ({', '.join(each.tactics)})")


def _gaps(tactic: Tactic) -> str:
    more = f" and {len(tactic.gaps) - _SHOWN} more" if len(tactic.gaps) > _SHOWN else ""
    return ", ".join(tactic.gaps[:_SHOWN]) + more


def _summary(found: Coverage, last: str) -> list[str]:
    of = f" of {len(found.techniques)} ({found.percent:.0f} %)" if found.complete else ""
    lines = [f"{found.rules} rules; {found.covered}{of} techniques have one; {len(found.untagged)} rules name none"]
    if last:
        fired = sum(bool(each.matches) for each in found.techniques)
        never = found.covered - fired
        lines.append(f"rules of {fired} techniques have fired here in {last}, those of {never} never")
    if found.unknown:
        lines.append(f"ATT&CK does not have, or no longer: {', '.join(found.unknown)}")
    if found.outside:
        lines.append(f"{found.outside} techniques with rules are not of these platforms")
    if not found.complete:
        lines.append(f"to see the gaps, {_HOW}")
    return lines
