"""`tocsin rules reload`: have the running detectors look at their rules, and say what became of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.opened import Opened, opened
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption
from tocsin.model.errors import Unreachable

if TYPE_CHECKING:
    from tocsin.state.life.changes import InUse

__all__ = ["add_to"]

_POLL_S = 0.1


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reload")(reload)


def reload(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    wait_s: Annotated[float, typer.Option(min=1, help="How long to wait for the detectors, in seconds.")] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Have detectors take their rules anew; exit code 1 if one refuses them, 3 if none answers."""
    from tocsin.state.life.changes import note_change

    server = opened(config, data_dir)
    with server.state.begin() as connection:
        change = note_change(connection, server.org, server.now_ms)
    answered = _answers(server, change, time.monotonic() + wait_s)
    for each in answered:
        said = f"{each.consumer}: {each.rules} rules"
        refused = f"{each.consumer}: refused, {each.rules} old rules stay: {each.problem}"
        typer.echo(msgspec.json.encode(each) if as_json else refused if each.problem else said)
    if any(each.problem for each in answered):
        raise typer.Exit(1)


def _answers(server: Opened, change: int, until: float) -> list[InUse]:
    """What detectors say that have noticed the change."""
    from tocsin.state.engine import reading
    from tocsin.state.life.changes import in_use

    while time.monotonic() < until:
        with reading(server.state) as connection:
            answered = [each for each in in_use(connection, server.org) if each.change >= change]
        if answered:
            return answered
        time.sleep(_POLL_S)
    raise Unreachable("no detector has answered; is the server running?")
