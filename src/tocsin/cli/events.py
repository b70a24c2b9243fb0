"""`tocsin events`: raw records in, normalised events out as NDJSON in OCSF's own nested form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tocsin.cli.log_files import AUTO, SOURCES_HELP, Origin, read_file, read_lines, read_source, zone_named
from tocsin.model.event import RefusedLine, nest

__all__ = ["Refusals", "add_to", "read_lines", "read_source"]

_encode = msgspec.json.Encoder().encode
_TOLD, _LONGEST = 10, 200  # so many refused lines are named, with so many characters each


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events")(events)


def events(
    files: Annotated[list[Path], typer.Argument(help="Files to read; - is standard input.")],
    source: Annotated[str, typer.Option(help=SOURCES_HELP)] = AUTO,
    product: Annotated[str, typer.Option(help="What wrote the events, as Sigma calls it; with --source json.")] = "",
    timezone: Annotated[str, typer.Option(help="Zone of times that name none, e.g. Europe/Berlin.")] = "UTC",
) -> None:
    """Print the events of log files as NDJSON, one OCSF event a line; unreadable lines are named on standard error."""
    zone = zone_named(timezone)
    refusals = Refusals()
    for path in files:
        origin = Origin(path, source, zone)
        for item in read_file(origin):
            if isinstance(item, RefusedLine):
                refusals.add(f"{path}:{item.line}", item)
            else:
                if product:
                    item.values.setdefault("metadata.log_name", product)
                sys.stdout.buffer.write(_encode(nest(item)) + b"\n")
        # Gaps in the serial numbers of an audit log are events that it lacks.
        if lost := origin.reassembler.lost:
            typer.echo(f"{path}: {_events(lost)} missing, by the log's serial numbers", err=True)
    sys.stdout.flush()
    refusals.finish()


def _events(count: int) -> str:
    return "1 event is" if count == 1 else f"{count} events are"


class Refusals:
    """Lines that could not be read: the first are named on standard error, the others only counted."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, place: str, refused: RefusedLine) -> None:
        """Name one, unless too many are named already."""
        self._count += 1
        if self._count <= _TOLD:
            typer.echo(f"{place}: {_printable(refused.reason)}", err=True)

    def finish(self) -> None:
        """Say how many there are.

        Raises:
            typer.Exit: with code 1, if there is any.
        """
        if self._count > _TOLD:
            typer.echo(f"... {self._count - _TOLD} more", err=True)
        if self._count:
            lines = "1 line" if self._count == 1 else f"{self._count} lines"
            typer.echo(f"tocsin: {lines} could not be read", err=True)
            raise typer.Exit(1)


def _printable(reason: str) -> str:
    """A wrong file may be anything, such as a program: nothing of it shall reach the terminal as it is."""
    short = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in short)
