"""`tocsin up`: everything on this machine; `tocsin serve`: one part of it."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Annotated, NoReturn

import typer

from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, load_settings
from tocsin.model.errors import BadInput

__all__ = ["add_to"]

ROLES = ("gateway", "api", "detector", "lake", "intel")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("serve")(serve)


def up(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; TLS unless it is loopback.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Where new alerts are sent.")] = None,
    agent: Annotated[bool, typer.Option(help="Run the agent on this host too; needs root.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Start everything on this machine; print the URL and the first-login token; run until interrupted."""
    from tocsin.config import strange_variables
    from tocsin.wiring.processes.log_format import configure_log
    from tocsin.wiring.processes.up import Up

    configure_log()
    settings = load_settings(config, data_dir=data_dir, host=host, port=port, webhook_url=webhook_url)
    for name in strange_variables(os.environ):
        typer.echo(f"tocsin: the variable {name} is no setting and is not used", err=True)
    started = Up(settings, config, with_agent=agent)
    code = started.run(lambda greeting: _greet(greeting, as_json=as_json))
    if code:
        raise typer.Exit(code)


def _greet(greeting: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(greeting))
    else:
        width = max(map(len, greeting))
        typer.echo("\n" + "\n".join(f"  {name:<{width}}  {value}" for name, value in greeting.items()) + "\n")
    sys.stdout.flush()


def serve(
    roles: Annotated[list[str], typer.Argument(help=f"What to run: {', '.join(ROLES)}.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run one or several parts in this process, until interrupted."""
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise BadInput(f"{unknown[0]!r} is no part of Tocsin; parts are {', '.join(ROLES)}")
    from tocsin.agent.operate.supervised import end_with_supervisor
    from tocsin.wiring.processes.log_format import configure_log

    end_with_supervisor()
    configure_log()
    settings = load_settings(config, data_dir=data_dir, host=host, port=port)
    if {"gateway", "api"} & set(roles):
        from tocsin.wiring.processes import server

        server.run(settings, set(roles))
        _leave()
    from tocsin.wiring.processes import consumers

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    _leave(0 if consumers.run(settings, set(roles), stop) else 1)


def _leave(code: int = 0) -> NoReturn:
    """End at once: all is closed, and taking the interpreter down makes DuckDB complain of what it leaks."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
