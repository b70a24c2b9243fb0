"""`tocsin events`: raw records in, normalised events out as NDJSON in OCSF's own nested form."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from tocsin.model.errors import BadInput
from tocsin.model.event import Event, RefusedLine, nest
from tocsin.wiring.sources import READERS

__all__ = ["add_to", "read_source"]

_encode = msgspec.json.Encoder().encode


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events")(events)


def events(
    files: Annotated[list[Path], typer.Argument(help="Files to read; - is standard input.")],
    source: Annotated[str, typer.Option(help=f"Format of the files: {', '.join(READERS)}.")] = "auditd",
) -> None:
    """Print the events of log files as NDJSON, one OCSF event a line; unreadable lines are named on standard error."""
    reader = READERS.get(source)
    if reader is None:
        raise BadInput(f"source {source!r} is not known; known are {', '.join(READERS)}")
    refused = 0
    for path in files:
        for item in _read(path, source):
            if isinstance(item, RefusedLine):
                refused += 1
                typer.echo(f"{path}:{item.line}: {item.reason}", err=True)
            else:
                sys.stdout.buffer.write(_encode(nest(item)) + b"\n")
    sys.stdout.flush()
    if refused:
        typer.echo(f"tocsin: {refused} lines could not be read", err=True)
        raise typer.Exit(1)


def read_source(paths: Iterable[Path], source: str) -> Iterator[Event | RefusedLine]:
    """Events and refused lines of all files."""
    for path in paths:
        yield from _read(path, source)


def _read(path: Path, source: str) -> Iterator[Event | RefusedLine]:
    if str(path) == "-":
        yield from READERS[source](_lines(sys.stdin.buffer))
        return
    try:
        with path.open("rb") as file:
            yield from READERS[source](_lines(file))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    for line in file:
        yield line.rstrip(b"\r\n")
