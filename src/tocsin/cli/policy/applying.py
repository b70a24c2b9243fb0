"""`tocsin agent policy plan`, `apply` and `remove`: capture policies as code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.opened import WhoOption, opened
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from tocsin.wiring.policy.folder import PolicyPlan

__all__ = ["add_to", "tags_text"]

FilesArgument = Annotated[
    Path, typer.Argument(metavar="FILE_OR_FOLDER", help="A TOML file, named as its policy; or a folder of them.")
]
_SIGNS = {"added": "+", "changed": "~", "removed": "-", "unchanged": " "}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("plan")(plan)
    app.command("apply")(apply)
    app.command("remove")(remove)


def plan(
    files: FilesArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show what applying policies would change; exit code 1 if something is wrong with them."""
    from tocsin.wiring.policy.folder import plan_policies

    server = opened(config, data_dir)
    planned = plan_policies(server.state, server.org, files)
    _say(planned, as_json=as_json)
    if not as_json:
        typer.echo(f"apply it with `tocsin agent policy apply {files}`" if planned.differs else "nothing to apply")


def apply(
    files: FilesArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Apply policies, whole or, if something is wrong with one (exit code 1), not at all; agents take them live."""
    from tocsin.wiring.policy.folder import apply_policies

    server = opened(config, data_dir, who)
    done = apply_policies(server.state, server.org, files, server.who, server.now_ms)
    _say(done, as_json=as_json)
    if not as_json and done.differs:
        typer.echo("applied; agents take it within seconds: `tocsin agent policy list` shows which have")


def remove(
    name: Annotated[str, typer.Argument(help="The policy's name.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
) -> None:
    """Have a policy apply to no agent any more; its versions stay."""
    from tocsin.api.policies import remove_policy

    server = opened(config, data_dir, who)
    with server.state.begin() as connection:
        remove_policy(connection, server.org, name, server.who, server.now_ms)
    typer.echo(f"policy {name} is removed")


def tags_text(agents: list[dict[str, str]]) -> str:
    """For which agents, as people read it."""
    groups = [",".join(f"{name}={value}" for name, value in sorted(tags.items())) for tags in agents]
    return " or ".join(groups) or "all agents"


def _say(planned: PolicyPlan, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(planned))
    for problem in planned.problems if not as_json else ():
        typer.echo(problem, err=True)
    if planned.problems:
        typer.echo(f"tocsin: {len(planned.problems)} problems; nothing is applied", err=True)
        raise typer.Exit(1)
    for change in planned.changes if not as_json else ():
        typer.echo(f"{_SIGNS[change.kind]} {change.name}  ({tags_text(change.agents)})")
        for line in [*change.diff.splitlines(), *(f"note: {remark}" for remark in change.remarks)]:
            typer.echo(f"    {line}")
    if not as_json:
        typer.echo(", ".join(f"{planned.count(kind)} {kind}" for kind in _SIGNS))
