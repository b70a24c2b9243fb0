"""`tocsin events`: raw records in, normalised events out as NDJSON in OCSF's own nested form."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from tocsin.model.errors import BadInput
from tocsin.model.event import Event, RefusedLine, nest
from tocsin.normalize.auditd import Reassembler
from tocsin.normalize.auditd import read_events as read_audit
from tocsin.wiring.sources import READERS, Reader

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
    if source not in READERS:
        raise BadInput(f"source {source!r} is not known; known are {', '.join(READERS)}")
    refused = 0
    for path in files:
        # Gaps in the serial numbers of an audit log are events that it lacks.
        reassembler = Reassembler()
        for item in _read(
            path, partial(read_audit, reassembler=reassembler) if source == "auditd" else READERS[source]
        ):
            if isinstance(item, RefusedLine):
                refused += 1
                typer.echo(f"{path}:{item.line}: {item.reason}", err=True)
            else:
                sys.stdout.buffer.write(_encode(nest(item)) + b"\n")
        if reassembler.lost:
            typer.echo(f"{path}: {reassembler.lost} events are missing, by the log's serial numbers", err=True)
    sys.stdout.flush()
    if refused:
        typer.echo(f"tocsin: {refused} lines could not be read", err=True)
        raise typer.Exit(1)


def read_source(paths: Iterable[Path], source: str) -> Iterator[Event | RefusedLine]:
    """Events and refused lines of all files."""
    if source not in READERS:
        raise BadInput(f"source {source!r} is not known; known are {', '.join(READERS)}")
    for path in paths:
        yield from _read(path, READERS[source])


def _read(path: Path, read: Reader) -> Iterator[Event | RefusedLine]:
    if str(path) == "-":
        yield from read(_lines(sys.stdin.buffer))
        return
    try:
        with path.open("rb") as file:
            yield from read(_lines(file))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    for line in file:
        yield line.rstrip(b"\r\n")
