"""`tocsin events`: raw records in, normalised events out as NDJSON in OCSF's own nested form."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import msgspec
import typer

from tocsin.model.errors import BadInput
from tocsin.model.event import Event, RefusedLine, nest
from tocsin.normalize.auditd import Reassembler
from tocsin.normalize.auditd import read_events as read_audit
from tocsin.wiring.sources import READERS, Reader

__all__ = ["Refusals", "add_to", "read_lines", "read_source"]

_encode = msgspec.json.Encoder().encode
_GZIP = b"\x1f\x8b"
_TOLD, _LONGEST = 10, 200  # so many refused lines are named, with so many characters each


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
    refusals = Refusals()
    for path in files:
        # Gaps in the serial numbers of an audit log are events that it lacks.
        reassembler = Reassembler()
        for item in read_lines(
            path, partial(read_audit, reassembler=reassembler) if source == "auditd" else READERS[source]
        ):
            if isinstance(item, RefusedLine):
                refusals.add(f"{path}:{item.line}", item)
            else:
                sys.stdout.buffer.write(_encode(nest(item)) + b"\n")
        if reassembler.lost:
            missing = "1 event is" if reassembler.lost == 1 else f"{reassembler.lost} events are"
            typer.echo(f"{path}: {missing} missing, by the log's serial numbers", err=True)
    sys.stdout.flush()
    refusals.finish()


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


def read_source(paths: Iterable[Path], source: str) -> Iterator[Event | RefusedLine]:
    """Events and refused lines of all files."""
    if source not in READERS:
        raise BadInput(f"source {source!r} is not known; known are {', '.join(READERS)}")
    for path in paths:
        yield from read_lines(path, READERS[source])


def read_lines(path: Path, read: Reader) -> Iterator[Event | RefusedLine]:
    """What a reader makes of a file's lines, packed or not; - is standard input."""
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            yield from read(_lines(file))
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadInput(f"{path}: not whole as a gzip file: {error}") from error
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines without their ends, of a file that may be packed with gzip."""
    buffered = file if isinstance(file, BufferedReader) else BufferedReader(cast("RawIOBase", file))
    packed = buffered.peek(len(_GZIP)).startswith(_GZIP)
    for line in gzip.GzipFile(fileobj=buffered) if packed else buffered:
        yield line.rstrip(b"\r\n")
