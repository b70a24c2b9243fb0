"""`tocsin verify`: coverage and integrity per agent and hour."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.period import milliseconds
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings

if TYPE_CHECKING:
    from rich.table import Table

    from tocsin.ingest.coverage import Coverage

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    last: Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d.")] = "24h",
    as_json: JsonOption = False,
) -> None:
    """Show what came from every agent in every hour: nothing lost, nothing missing, nothing altered, or what was.

    Exit code 1 if a batch is missing or does not follow the one before it.
    """
    from rich.console import Console

    from tocsin.ingest.coverage import coverage
    from tocsin.state.engine import reading
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.first_start import open_server_state

    settings = existing_settings(config, data_dir)
    now = SystemClock().now_ms()
    with reading(open_server_state(settings, now)) as connection:
        hours = coverage(connection, settings.org, now - milliseconds(last), now + 1)
    if as_json:
        for hour in hours:
            typer.echo(json.dumps(msgspec.to_builtins(hour) | {"percent": hour.percent, "intact": hour.intact}))
    elif hours:
        Console().print(_table(hours))
    else:
        typer.echo(f"no batch arrived in the last {last}")
    if not all(hour.intact for hour in hours):
        raise typer.Exit(1)


def _table(hours: list[Coverage]) -> Table:
    from rich.table import Table

    table = Table("Host", "Agent", "Hour (UTC)", "Batches", "Events", "Coverage", "Chain", "Not kept", box=None)
    for hour in hours:
        start = datetime.fromtimestamp(hour.hour / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        chain = "intact" if hour.intact else f"{hour.missing_batches} missing, {hour.broken_links} broken"
        not_kept = ", ".join(f"{count} {reason}" for reason, count in sorted(hour.not_kept.items()) if count)
        counts = (str(hour.batches), str(hour.events), f"{hour.percent:.3f} %")
        table.add_row(hour.hostname, hour.agent[:8], start, *counts, chain, not_kept)
    return table
