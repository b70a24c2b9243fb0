"""`tocsin rules plan` and `tocsin rules apply`: rules as code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.opened import WhoOption, opened
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from tocsin.detect.life.plan import Change
    from tocsin.wiring.rules.folder import Plan

__all__ = ["add_to"]

FolderArgument = Annotated[Path, typer.Argument(help="Folder of rules, or one file.")]
RulesetOption = Annotated[str, typer.Option("--ruleset", help="Name of the set; that of the folder if none is given.")]
_SIGNS = {"added": "+", "changed": "~", "removed": "-", "unchanged": " "}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("plan")(plan_rules)
    app.command("apply")(apply_rules)


def plan_rules(
    folder: FolderArgument,
    ruleset: RulesetOption = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what applying a folder of rules would change; exit code 1 if something is wrong with it."""
    from tocsin.wiring.rules.folder import plan

    server = opened(config, data_dir)
    planned = plan(server.state, server.settings, folder, ruleset or _name(folder))
    _say(planned, as_json=as_json)
    if not as_json and not planned.problems:
        typer.echo(f"apply it with `tocsin rules apply {folder}`" if _differs(planned) else "nothing to apply")


def apply_rules(
    folder: FolderArgument,
    ruleset: RulesetOption = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Apply a folder of rules, whole or, if something is wrong with it (exit code 1), not at all."""
    from tocsin.wiring.rules.folder import apply

    server = opened(config, data_dir, who)
    done = apply(server.state, server.settings, folder, ruleset or _name(folder), server.who, server.now_ms)
    _say(done, as_json=as_json)
    if not as_json and _differs(done):
        typer.echo("applied; running detectors take it within seconds: `tocsin rules reload` waits for them")


def _name(folder: Path) -> str:
    resolved = folder.resolve()
    return resolved.stem if resolved.is_file() else resolved.name


def _differs(planned: Plan) -> bool:
    return planned.count("unchanged") < len(planned.changes)


def _say(planned: Plan, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(planned))
    else:
        for change in planned.changes:
            _say_change(change)
        counts = ", ".join(f"{planned.count(kind)} {kind}" for kind in _SIGNS)
        typer.echo(f"ruleset {planned.ruleset}: {counts}; {planned.untested} rules without cases")
    for problem in planned.problems if not as_json else ():
        typer.echo(problem, err=True)
    if planned.problems:
        typer.echo(f"tocsin: {len(planned.problems)} problems; nothing is applied", err=True)
        raise typer.Exit(1)


def _say_change(change: Change) -> None:
    if change.kind != "unchanged":
        state = f"  [{change.state}]" if change.state not in ("", "active") else ""
        typer.echo(f"{_SIGNS[change.kind]} {change.title or change.rule_id}  {change.path}  ({change.rule_id}){state}")
    for line in change.diff.splitlines():
        typer.echo(f"    {line}")
