"""Files of log lines, packed or not, as events of the format that they are in."""

from __future__ import annotations

import datetime as dt
import gzip
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from io import BufferedReader, RawIOBase
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tocsin.model.errors import BadInput
from tocsin.model.event import Event, RefusedLine
from tocsin.normalize.auditd import Reassembler
from tocsin.normalize.auditd import read_events as read_audit
from tocsin.normalize.detection import source_of
from tocsin.wiring.sources import READERS, Reader, syslog_reader

__all__ = ["AUTO", "SOURCES_HELP", "Origin", "check_source", "read_file", "read_lines", "read_source", "zone_named"]

AUTO: Final = "auto"
SOURCES_HELP: Final = f"Format of the files: {', '.join(READERS)}; {AUTO} looks at the first lines."
_GZIP: Final = b"\x1f\x8b"
_LOOKED_AT: Final = 50  # lines


@dataclass(frozen=True)
class Origin:
    """A file and what is known of its lines; afterwards `reassembler.lost` says what an audit log lacks."""

    path: Path
    source: str
    zone: dt.tzinfo = dt.UTC
    reassembler: Reassembler = field(default_factory=Reassembler)


def zone_named(name: str) -> dt.tzinfo:
    """The time zone of that name.

    Raises:
        BadInput: there is none.
    """
    if name == "UTC":  # known to machines without a database of zones too
        return dt.UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(f"there is no time zone {name!r}; Europe/Berlin is one") from error


def check_source(source: str, *others: str) -> None:
    """See that a source is one that can be read; a command may know others.

    Raises:
        BadInput: it is not.
    """
    known = [AUTO, *READERS, *others]
    if source not in known:
        raise BadInput(f"source {source!r} is not known; known are {', '.join(known)}")


def read_source(paths: Iterable[Path], source: str) -> Iterator[Event | RefusedLine]:
    """Events and refused lines of all files; with `auto` each file is of the format that it looks like.

    Raises:
        BadInput: the source is not known, or a file cannot be read or looks like none.
    """
    for path in paths:
        yield from read_file(Origin(path, source))


def read_file(origin: Origin) -> Iterator[Event | RefusedLine]:
    """Events and refused lines of one file.

    Raises:
        BadInput: as `read_source`.
    """
    check_source(origin.source)
    return read_lines(origin.path, partial(_read_as, origin))


def _read_as(origin: Origin, lines: Iterable[bytes]) -> Iterator[Event | RefusedLine]:
    if origin.source != AUTO:
        return _reader(origin, origin.source)(lines)
    rest = iter(lines)
    first = list(islice(rest, _LOOKED_AT))
    return _reader(origin, _source_of(origin.path, first))(chain(first, rest))


def _source_of(path: Path, first: list[bytes]) -> str:
    if not any(line.strip() for line in first):
        return "ocsf"  # an empty file has no events in any format
    found = source_of(first)
    if found is None:
        raise BadInput(f"{path}: its first lines look like no known format; name one: --source {', '.join(READERS)}")
    return found


def _reader(origin: Origin, source: str) -> Reader:
    if source == "auditd":
        return partial(read_audit, reassembler=origin.reassembler)
    return syslog_reader(_written_ms(origin.path), origin.zone) if source == "syslog" else READERS[source]


def _written_ms(path: Path) -> int:
    """When the file was last written; now, if it is being written."""
    return int(path.stat().st_mtime * 1000) if path.is_file() else time.time_ns() // 1_000_000


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
