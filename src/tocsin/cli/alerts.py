"""`tocsin alerts`: the queue, one alert with its evidence, and what becomes of it."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings
from tocsin.model.errors import BadInput

if TYPE_CHECKING:
    import sqlalchemy as sa
    from rich.table import Table

    from tocsin.alert.read import Alert
    from tocsin.config import Settings
    from tocsin.model.rule import Rule

__all__ = ["app"]

app = typer.Typer(help="The alert queue.", no_args_is_help=True)
_STATUSES = ("open", "acknowledged", "closed", "all", "staged", "suppressed")
_ID_SHOWN, _PIPE_WIDTH = 12, 200
KeyArgument = Annotated[str, typer.Argument(help="The alert's id, or how it begins.")]
WhoOption = Annotated[str, typer.Option("--as", help="Who does this; the login name if nobody is named.")]


@app.command("list")
def list_alerts(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    status: Annotated[
        str, typer.Option(help="open, acknowledged, closed, or all of these; staged or suppressed.")
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List alerts, newest first."""
    from tocsin.alert.read import Filter, page
    from tocsin.state.engine import reading

    if status not in _STATUSES:
        raise BadInput(f"status {status!r} is not known; known are {', '.join(_STATUSES)}")
    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    wanted = Filter() if status == "all" else Filter(status=status)
    with reading(engine) as connection:
        found = page(connection, settings.org, wanted, limit=limit).alerts
    if as_json:
        for alert in found:
            typer.echo(msgspec.json.encode(alert))
    elif found:
        _print_table(_table(found, now))
    else:
        typer.echo(f"no {'' if status == 'all' else status + ' '}alerts")


@app.command()
def show(
    key: KeyArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show one alert: why it fired, and on what."""
    from tocsin.alert import read
    from tocsin.cli.alert_text import alert_lines
    from tocsin.state.engine import reading
    from tocsin.state.life.suppressions import find

    settings = existing_settings(config, data_dir)
    engine, _ = _opened(settings)
    with reading(engine) as connection:
        alert = read.show(connection, settings.org, read.full_id(connection, settings.org, key))
        evidence = read.evidence(connection, settings.org, alert.id)
        hider = find(connection, settings.org, alert.suppressed_by) if alert.suppressed_by else None
    if as_json:
        typer.echo(msgspec.json.encode({"alert": alert, "evidence": evidence}))
    else:
        for line in alert_lines(alert, evidence, _rule(settings, alert.rule_id), hider):
            typer.echo(line)


@app.command()
def ack(
    key: KeyArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Acknowledge an alert: somebody looks at it."""
    from tocsin.alert import change, read

    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    with engine.begin() as connection:
        key = read.full_id(connection, settings.org, key)
        change.acknowledge(connection, settings.org, key, who or getpass.getuser(), now)
    typer.echo(msgspec.json.encode({"id": key, "status": "acknowledged"}) if as_json else f"{key} acknowledged")


@app.command()
def close(
    key: KeyArgument,
    reason: Annotated[str, typer.Option(help="Why it is closed; the next person reads it.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Close an alert with a reason."""
    from tocsin.alert import change, read

    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    with engine.begin() as connection:
        key = read.full_id(connection, settings.org, key)
        change.close(connection, settings.org, key, who or getpass.getuser(), reason, now)
    typer.echo(msgspec.json.encode({"id": key, "status": "closed"}) if as_json else f"{key} closed")


def _opened(settings: Settings) -> tuple[sa.Engine, int]:
    """The state, and what time it is (ms)."""
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import open_server_state

    now = SystemClock().now_ms()
    return open_server_state(settings, now), now


def _table(alerts: list[Alert], now_ms: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    from tocsin.cli.alert_text import short_time

    table = Table(box=None)
    # Nothing shorter names one alert for `show`.
    table.add_column("Id", min_width=_ID_SHOWN, no_wrap=True)
    for heading in ("Level", "Last seen (UTC)", "Host"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Events", justify="right")
    table.add_column("Status")
    table.add_column("Title", no_wrap=True, overflow="ellipsis", ratio=1)
    for alert in alerts:
        last = short_time(alert.last_event_at, now_ms)
        row = (alert.id[:_ID_SHOWN], alert.level, last, Text(alert.hostname), str(alert.event_count), alert.status)
        table.add_row(*row, Text(alert.title))
    return table


def _rule(settings: Settings, rule_id: str) -> Rule | None:
    """The rule that fired, if it is still among the active ones."""
    from tocsin.wiring.rules.active import active_library

    library = active_library(settings)
    return next((rule for rule in library.rules if rule.id == rule_id), None)


def _print_table(table: Table) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH  # a file or a pipe has no edge where titles must end
    console.print(table)
