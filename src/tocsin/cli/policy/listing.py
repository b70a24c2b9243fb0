"""`tocsin agent policy list`, `show` and `history`: which policies there are, and which agents have applied them."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tocsin.cli.opened import opened
from tocsin.cli.policy.applying import tags_text
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption

__all__ = ["add_to"]

NameArgument = Annotated[str, typer.Argument(help="The policy's name.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_policies)
    app.command("show")(show)
    app.command("history")(history)


def list_policies(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the policies, and what each agent is to apply and says that it applies.

    Exit code 1 if an agent has refused one.
    """
    from rich.console import Console
    from rich.table import Table

    from tocsin.api.policies import following
    from tocsin.cli.alert_text import date_and_time
    from tocsin.state.engine import reading
    from tocsin.state.policies import current_policies

    server = opened(config, data_dir)
    with reading(server.state) as connection:
        policies, agents = current_policies(connection, server.org), following(connection, server.org)
    if as_json:
        said = [msgspec.to_builtins(each) | {"state": each.state} for each in agents]
        typer.echo(msgspec.json.encode({"policies": policies, "agents": said}))
    else:
        table = Table("Policy", "Version", "For", "By", "Applied (UTC)", box=None)
        for policy in policies:
            when = date_and_time(policy.created_at)
            table.add_row(policy.name, str(policy.version), tags_text(policy.agents), policy.author, when)
        hosts = Table("Host", "Agent", "Wanted", "Applied", "State", box=None)
        for each in agents:
            state = each.problem or (f"applied, CPU step {each.cpu_step}" if each.cpu_step else each.state)
            hosts.add_row(each.hostname, each.agent[:8], each.wanted or "-", each.applied or "-", state)
        Console().print(table if policies else "no policies", "", hosts if agents else "no agents", sep="\n")
    if any(each.problem for each in agents):
        raise typer.Exit(1)


def show(
    name: NameArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    version: Annotated[int, typer.Option("--version", help="Which one; the newest if none is named.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Print what a policy says."""
    from tocsin.model.errors import NotFound
    from tocsin.state.engine import reading
    from tocsin.state.policies import history_of

    server = opened(config, data_dir)
    with reading(server.state) as connection:
        found = history_of(connection, server.org, name)
    chosen = next((each for each in found if version in (0, each.version)), None)
    if chosen is None:
        raise NotFound(f"policy {name} has no version {version}")
    if as_json:
        typer.echo(msgspec.json.encode(chosen))
    else:
        typer.echo(chosen.content, nl=not chosen.content.endswith("\n"))


def history(
    name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """List the versions of a policy, newest first."""
    from tocsin.cli.alert_text import date_and_time
    from tocsin.state.engine import reading
    from tocsin.state.policies import history_of

    server = opened(config, data_dir)
    with reading(server.state) as connection:
        found = history_of(connection, server.org, name)
    for each in found:
        if as_json:
            typer.echo(msgspec.json.encode(each))
        else:
            what = "removed" if each.removed else tags_text(each.agents)
            typer.echo(f"{each.version:>4}  {date_and_time(each.created_at)} UTC  {each.author}  {what}")
