"""`tocsin rules history` and `tocsin rules rollback`: versions of applied rules."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tocsin.cli.opened import WhoOption, opened
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption

__all__ = ["add_to"]

RuleArgument = Annotated[str, typer.Argument(help="The rule's id.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("history")(history)
    app.command("rollback")(rollback)


def history(
    rule_id: RuleArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    version: Annotated[int, typer.Option("--version", help="Print what that version says.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """List the versions of an applied rule, newest first, or print one of them."""
    from tocsin.cli.alert_text import date_and_time
    from tocsin.model.errors import NotFound
    from tocsin.state.engine import reading
    from tocsin.state.life.versions import history as versions_of

    server = opened(config, data_dir)
    with reading(server.state) as connection:
        found = versions_of(connection, server.org, rule_id)
    if version:
        found = [each for each in found if each.version == version]
        if not found:
            raise NotFound(f"rule {rule_id} has no version {version}")
    for each in found:
        if as_json:
            typer.echo(msgspec.json.encode(each))
        elif version:
            typer.echo(each.content, nl=False)
        else:
            what = "removed" if each.removed else each.digest[:12]
            when = date_and_time(each.created_at)
            typer.echo(f"{each.version:>4}  {when} UTC  {what:<12}  {each.author}  {each.ruleset}/{each.path}")


def rollback(
    rule_id: RuleArgument,
    to: Annotated[int, typer.Option("--to", help="Which version; the last but one if none is named.")] = 0,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make an older version of an applied rule its newest one."""
    from tocsin.wiring.rules.folder import roll_back

    server = opened(config, data_dir, who)
    made = roll_back(server.state, server.settings, rule_id, to or None, server.who, server.now_ms)
    if as_json:
        typer.echo(msgspec.json.encode(made))
    else:
        typer.echo(f"{rule_id} is as it was, as version {made.version}; the folder it came from still says otherwise")
