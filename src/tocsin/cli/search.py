"""`tocsin search`: events by a SQL boolean expression over their attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from tocsin.cli.period import milliseconds
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings
from tocsin.model.schema import CLASSES

__all__ = ["add_to", "print_events"]

_SUMMARY = (
    "process.cmd_line",
    "file.path",
    "dst_endpoint.ip",
    "dst_endpoint.port",
    "src_endpoint.ip",
    "user.name",
    "group.name",
    "driver.file.path",
    "api.operation",
    "actor.process.file.path",
    "actor.user.name",
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("search")(search)


def search(
    where: Annotated[
        str, typer.Argument(help="SQL boolean expression, e.g. \"process.name = 'nc'\"; empty: all.")
    ] = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    last: Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d.")] = "24h",
    limit: Annotated[int, typer.Option(min=1, help="At most so many events, the newest.")] = 100,
    count: Annotated[bool, typer.Option("--count", help="Only say how many there are.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find events; prints a line each, or with --json the whole event in OCSF's nested form, newest first."""
    from tocsin.conditions.parse_sql import parse_filter
    from tocsin.ports import Selection
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.first_start import open_server_state
    from tocsin.wiring.storage import open_storage

    settings = existing_settings(config, data_dir)
    now = SystemClock().now_ms()
    condition = parse_filter(where)
    wanted = Selection(settings.org, now - milliseconds(last), now + 60_000, condition, limit=limit)
    with closing(open_storage(settings, open_server_state(settings, now))) as storage:
        if count:
            typer.echo(str(storage.query.count(wanted)))
            return
        rows = storage.query.events(wanted)
    print_events(rows, as_json=as_json)
    if not rows:
        typer.echo("no events match", err=True)


def print_events(rows: Iterable[Mapping[str, object]], *, as_json: bool) -> None:
    """A line for each event, or the whole of it."""
    from tocsin.api.search import document

    for row in rows:
        typer.echo(msgspec.json.encode(document(row)) if as_json else _line(row))


def _line(row: Mapping[str, object]) -> str:
    time = row["time"]
    stamp = datetime.fromtimestamp(time / 1000, UTC).isoformat(" ", "milliseconds") if isinstance(time, int) else ""
    event_class = CLASSES[int(str(row["class_uid"]))]
    activity = event_class.activities.get(int(str(row.get("activity_id") or 0)), "Other")
    what = "  ".join(f"{path}={row[path]}" for path in _SUMMARY if row.get(path) is not None)
    return f"{stamp[:23]}  {row.get('device.hostname', '')}  {event_class.caption}: {activity}  {what}"
