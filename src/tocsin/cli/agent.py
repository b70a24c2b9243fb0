"""`tocsin agent`: the host agent's own commands, and the tokens that enrol one."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tocsin.cli import policy
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings

__all__ = ["app"]

app = typer.Typer(help="The agent on this host, and tokens that let another host join.", no_args_is_help=True)
app.add_typer(policy.app, name="policy")
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _pass_on(name: str, summary: str) -> None:
    @app.command(name, help=summary, context_settings=_PASS_ON)
    def command(context: typer.Context) -> None:
        from tocsin.agent import main as agent_main

        code = agent_main.main([name, *context.args])
        if code:
            raise typer.Exit(code)


_pass_on("enroll", "Make this host's key and register it with a server.")
_pass_on("run", "Collect, and ship to the server.")
_pass_on("status", "Every module, and why it is unhealthy.")
_pass_on("doctor", "Check that this host can be observed.")


@app.command()
def token(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    uses: Annotated[int, typer.Option(min=1, help="How many hosts may enrol with it.")] = 1,
    hours: Annotated[int, typer.Option(min=1, help="Hours until it expires.")] = 24,
    tag: Annotated[list[str] | None, typer.Option(help="name=value, for every agent that enrols with it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token that lets a host enrol, and print the command to run there."""
    from tocsin.state.life.tags import parse_tags
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import make_enrolment_token, open_server_state, with_fingerprint

    tags = parse_tags(tag or ())
    settings = existing_settings(config, data_dir)
    now = SystemClock().now_ms()
    engine = open_server_state(settings, now)
    token = make_enrolment_token(engine, settings.org, uses=uses, hours=hours, now_ms=now, tags=tags)
    made = with_fingerprint(token, settings)
    if settings.loopback and not settings.public_url:
        typer.echo(
            f"tocsin: {settings.url} is for this host only; for others start `tocsin up --host 0.0.0.0`", err=True
        )
    if as_json:
        typer.echo(json.dumps({"token": made, "server": settings.url, "uses": uses, "hours": hours, "tags": tags}))
    else:
        typer.echo(f"tocsin agent enroll --server {settings.url} --token {made}")


@app.command()
def tag(
    named: Annotated[str, typer.Argument(metavar="AGENT", help="Its id or host name.")],
    tags: Annotated[list[str] | None, typer.Argument(help="name=value, any number; none just shows them.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Name of a tag to take away.")] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an agent tags, by which rules and rulesets are assigned; prints all that it has."""
    from tocsin.cli.opened import opened
    from tocsin.state.life.tags import agent_tags, find_agent, parse_tags, tag_agent

    server = opened(config, data_dir)
    with server.state.begin() as connection:
        agent_id = find_agent(connection, server.org, named)
        if tags or remove:
            tag_agent(connection, server.org, agent_id, parse_tags(tags or ()), remove or (), server.now_ms)
        found = agent_tags(connection, server.org).get(agent_id, {})
    said = json.dumps({"agent": agent_id, "tags": found}) if as_json else " ".join(f"{n}={v}" for n, v in found.items())
    typer.echo(said or "no tags")


@app.command("list")
def list_agents(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the agents: online, offline, revoked or never seen."""
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from tocsin.api.agents import agents
    from tocsin.cli.opened import opened
    from tocsin.state.engine import reading

    server = opened(config, data_dir)
    with reading(server.state) as connection:
        found = agents(connection, server.org, server.now_ms)
    if as_json:
        for each in found:
            typer.echo(msgspec.json.encode(each))
        return
    table = Table("Host", "Agent", "State", "Last seen", "Clone of", box=None)
    for each in found:
        seen = "" if each.last_seen_at is None else f"{(server.now_ms - each.last_seen_at) // 1000} s ago"
        table.add_row(each.hostname, each.id, each.state, seen, each.cloned_from or "")
    Console().print(table if found else "no agent is enrolled")


@app.command()
def revoke(
    named: Annotated[str, typer.Argument(metavar="AGENT", help="Its id or host name.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take nothing more from an agent; it holds for every gateway when this returns."""
    import time

    from tocsin.cli.opened import opened
    from tocsin.ingest.senders import REVOKED_WITHIN_S
    from tocsin.state.fleet import readmit, revoke
    from tocsin.state.life.tags import find_agent

    server = opened(config, data_dir)
    with server.state.begin() as connection:
        agent_id = find_agent(connection, server.org, named)
        if undo:
            readmit(connection, server.org, agent_id)
        else:
            revoke(connection, server.org, agent_id, server.now_ms)
    time.sleep(REVOKED_WITHIN_S)
    done = "admitted again" if undo else "revoked"
    typer.echo(json.dumps({"agent": agent_id, "revoked": not undo}) if as_json else f"agent {agent_id} is {done}")
