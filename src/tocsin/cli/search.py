"""`tocsin search`: events by a SQL boolean expression over their attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.period import milliseconds
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings
from tocsin.model.schema import CLASSES

if TYPE_CHECKING:
    from tocsin.model.condition import Condition, Field

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
_SHOWN = ("time", "device.hostname", "class_uid", "activity_id")  # in words
_LONGEST = 200  # characters of what was asked about


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
    from tocsin.wiring.lake.storage import open_storage
    from tocsin.wiring.processes.first_start import open_server_state

    settings = existing_settings(config, data_dir)
    now = SystemClock().now_ms()
    condition = parse_filter(where)
    wanted = Selection(settings.org, now - milliseconds(last), now + 60_000, condition, limit=limit)
    with closing(open_storage(settings, open_server_state(settings, now))) as storage:
        if count:
            typer.echo(str(storage.query.count(wanted)))
            return
        rows = storage.query.events(wanted)
    print_events(rows, as_json=as_json, asked=condition)
    if not rows:
        typer.echo("no events match", err=True)


def print_events(rows: Iterable[Mapping[str, object]], *, as_json: bool, asked: Condition | None = None) -> None:
    """A line for each event, with what a condition asks about; or the whole of it."""
    from tocsin.api.search import document

    fields = () if asked is None else tuple(dict.fromkeys(_fields(asked)))
    for row in rows:
        typer.echo(msgspec.json.encode(document(row)) if as_json else _line(row, fields))


def _fields(asked: Condition) -> Iterator[Field]:
    """The fields that the condition names, but for those that a line shows anyhow."""
    from tocsin.model.condition import Match, SameAs, leaves

    for leaf in leaves(asked):
        if isinstance(leaf, Match):
            other = (leaf.test.other,) if isinstance(leaf.test, SameAs) else ()
            yield from (field for field in (leaf.field, *other) if field.full_path not in {*_SUMMARY, *_SHOWN})


def _line(row: Mapping[str, object], fields: Iterable[Field]) -> str:
    time = row["time"]
    stamp = datetime.fromtimestamp(time / 1000, UTC).isoformat(" ", "milliseconds") if isinstance(time, int) else ""
    event_class = CLASSES[int(str(row["class_uid"]))]
    activity = event_class.activities.get(int(str(row.get("activity_id") or 0)), "Other")
    summary = [f"{path}={row[path]}" for path in _SUMMARY if row.get(path) is not None]
    what = "  ".join([*summary, *_asked(row, fields)])
    return _printable(f"{stamp[:23]}  {row.get('device.hostname', '')}  {event_class.caption}: {activity}  {what}")


def _asked(row: Mapping[str, object], fields: Iterable[Field]) -> Iterator[str]:
    from tocsin.api.search import document
    from tocsin.detect.evaluate.texts import record_fields, texts
    from tocsin.model.event import flatten

    if not fields:
        return
    event = flatten(document(row))
    records = [None, *map(record_fields, event.records)]
    for field in fields:
        found = dict.fromkeys(text for record in records for text in texts(event, field, record))
        if found:
            yield f"{field.full_path}={_cut(', '.join(found))}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _printable(text: str) -> str:
    """Events hold what an attacker chose: nothing of it may act on the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
