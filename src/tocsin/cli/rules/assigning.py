"""`tocsin rules assign` and `unassign`: rulesets for agents with certain tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.opened import WhoOption, opened
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tocsin.cli.opened import Opened

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("assign")(assign_ruleset)
    app.command("unassign")(unassign_ruleset)


def assign_ruleset(
    ruleset: Annotated[str, typer.Argument(help="Name of the ruleset.")],
    tag: Annotated[list[str], typer.Option(help="name=value; of several, an agent must have all.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Have a ruleset apply only to agents with these tags, beside those that it was assigned to before."""
    from tocsin.state.life.tags import assign, assignments, parse_tags

    server = opened(config, data_dir, who)
    with server.state.begin() as connection:
        assign(connection, server.org, ruleset, parse_tags(tag), server.who, server.now_ms)
        wanted = assignments(connection)[server.org][ruleset]
        known = _rulesets(connection, server)
    if ruleset not in known:  # it may be assigned before it is applied, so as to be nowhere else for a moment
        typer.echo(f"tocsin: no rule is of ruleset {ruleset} yet; there are {', '.join(known) or 'none'}", err=True)
    if as_json:
        typer.echo(json.dumps({"ruleset": ruleset, "assigned": wanted}))
    else:
        agents = " or ".join(", ".join(f"{name}={value}" for name, value in tags.items()) for tags in wanted)
        typer.echo(f"ruleset {ruleset} applies to agents with {agents}")


def _rulesets(connection: sa.Connection, server: Opened) -> list[str]:
    """The rulesets that rules are of."""
    from tocsin.detect.life.books import RuleBooks
    from tocsin.detect.life.overview import Rules

    rules = Rules(RuleBooks(server.settings.rulesets, server.settings.rules))
    found = rules.overview(connection, server.org, server.now_ms).rules
    return sorted({each.ruleset for each in found if each.ruleset})


def unassign_ruleset(
    ruleset: Annotated[str, typer.Argument(help="Name of the ruleset.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a ruleset apply to all agents again."""
    from tocsin.state.life.tags import unassign

    server = opened(config, data_dir)
    with server.state.begin() as connection:
        unassign(connection, server.org, ruleset, server.now_ms)
    said = f"ruleset {ruleset} applies to all agents"
    typer.echo(json.dumps({"ruleset": ruleset, "assigned": []}) if as_json else said)
