"""`tocsin alerts`: the queue, one alert with its evidence, and what becomes of it."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings
from tocsin.model.errors import BadInput

if TYPE_CHECKING:
    import sqlalchemy as sa
    from rich.table import Table

    from tocsin.alert.read import Alert, Evidence
    from tocsin.config import Settings

__all__ = ["app"]

app = typer.Typer(help="The alert queue.", no_args_is_help=True)
_STATUSES = ("open", "acknowledged", "closed", "all")
KeyArgument = Annotated[str, typer.Argument(help="The alert's id, or how it begins.")]
WhoOption = Annotated[str, typer.Option("--as", help="Who does this; the login name if nobody is named.")]


@app.command("list")
def list_alerts(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    status: Annotated[str, typer.Option(help="open, acknowledged, closed, or all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List alerts, newest first."""
    from rich.console import Console

    from tocsin.alert.read import Filter, page
    from tocsin.state.engine import reading

    if status not in _STATUSES:
        raise BadInput(f"status {status!r} is not known; known are {', '.join(_STATUSES)}")
    settings = existing_settings(config, data_dir)
    engine, _ = _opened(settings)
    wanted = Filter() if status == "all" else Filter(status=status)
    with reading(engine) as connection:
        found = page(connection, settings.org, wanted, limit=limit).alerts
    if as_json:
        for alert in found:
            typer.echo(msgspec.json.encode(alert))
    elif found:
        Console().print(_table(found))
    else:
        typer.echo(f"no {'' if status == 'all' else status + ' '}alerts")


@app.command()
def show(
    key: KeyArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show one alert: why it fired, and on what."""
    from tocsin.alert import read
    from tocsin.state.engine import reading

    settings = existing_settings(config, data_dir)
    engine, _ = _opened(settings)
    with reading(engine) as connection:
        alert = read.show(connection, settings.org, read.full_id(connection, settings.org, key))
        evidence = read.evidence(connection, settings.org, alert.id)
    if as_json:
        typer.echo(msgspec.json.encode({"alert": alert, "evidence": evidence}))
    else:
        _print_alert(alert, evidence)


@app.command()
def ack(key: KeyArgument, config: ConfigOption = None, data_dir: DataDirOption = None, who: WhoOption = "") -> None:
    """Acknowledge an alert: somebody looks at it."""
    from tocsin.alert import change, read

    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    with engine.begin() as connection:
        key = read.full_id(connection, settings.org, key)
        change.acknowledge(connection, settings.org, key, who or getpass.getuser(), now)
    typer.echo(f"{key} acknowledged")


@app.command()
def close(
    key: KeyArgument,
    reason: Annotated[str, typer.Option(help="Why it is closed; the next person reads it.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
) -> None:
    """Close an alert with a reason."""
    from tocsin.alert import change, read

    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    with engine.begin() as connection:
        key = read.full_id(connection, settings.org, key)
        change.close(connection, settings.org, key, who or getpass.getuser(), reason, now)
    typer.echo(f"{key} closed")


def _opened(settings: Settings) -> tuple[sa.Engine, int]:
    """The state, and what time it is (ms)."""
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.first_start import open_server_state

    now = SystemClock().now_ms()
    return open_server_state(settings, now), now


def _table(alerts: list[Alert]) -> Table:
    from rich.table import Table

    table = Table("Id", "Level", "Last seen (UTC)", "Host", box=None)
    table.add_column("Events", justify="right")
    table.add_column("Status")
    table.add_column("Title", no_wrap=True, overflow="ellipsis", ratio=1)
    for column in table.columns[:4]:
        column.no_wrap = True
    for alert in alerts:
        last = _time(alert.last_event_at)[5:]
        table.add_row(
            alert.id[:12], alert.level, last, alert.hostname, str(alert.event_count), alert.status, alert.title
        )
    return table


def _print_alert(alert: Alert, evidence: list[Evidence]) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"[bold]{alert.title}[/bold]", highlight=False)
    console.print(f"{alert.level} · {alert.rule_title} · {alert.hostname} · {alert.status}", highlight=False)
    first, last = _time(alert.first_event_at), _time(alert.last_event_at)
    console.print(f"{alert.event_count} events, {first} to {last} UTC", highlight=False)
    for one in evidence:
        console.print(f"\n[dim]{_time(one.time)}  {one.event_uid}[/dim]", highlight=False)
        for met in one.met:
            console.print(f"  {met.field} = {met.value}   [dim]{met.term}[/dim]", highlight=False)


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
