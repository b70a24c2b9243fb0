"""How many events a second each normaliser makes of its lines, on one core; beside reading the lines' JSON alone.

The lines are those of `tests/golden`, over and over, each time with other numbers in them, so that nothing is answered
from a cache that real lines would miss.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from report import table
from tocsin.model.event import Event
from tocsin.wiring.sources import READERS, Reader, syslog_reader

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
EVENTS = 40_000
WRITTEN = int(dt.datetime(2026, 1, 3, tzinfo=dt.UTC).timestamp() * 1000)
_NUMBER = re.compile(rb"(?<=[\"\s:({=])(\d{2,6})(?=[\"\s,)}])")


def main() -> None:
    """Print the table."""
    head = ("Source", "Lines", "Bytes a line", "Events/s", "Lines/s", "JSON alone, lines/s")
    rows = [_row(source, lines) for source in sorted(READERS) if (lines := list(_lines(source)))]
    print(table("Normalisers, one core, CPU time", head, rows))


def _row(source: str, lines: list[bytes]) -> tuple[str, ...]:
    events, seconds = _read(_reader(source), lines)
    is_json = all(line[:1] == b"{" for line in lines)
    floor = f"{len(lines) / _decode(lines):,.0f}" if is_json else ""
    size = sum(map(len, lines)) // len(lines)
    rates = (f"{events / seconds:,.0f}", f"{len(lines) / seconds:,.0f}")
    return (source, f"{len(lines):,}", str(size), *rates, floor)


def _reader(source: str) -> Reader:
    return syslog_reader(WRITTEN, dt.UTC) if source == "syslog" else READERS[source]


def _lines(source: str) -> Iterator[bytes]:
    recorded = [
        line for log in sorted(GOLDEN.glob(f"{source}/*.log")) for line in log.read_bytes().splitlines() if line.strip()
    ]
    for number in range(EVENTS if recorded else 0):
        yield _varied(recorded[number % len(recorded)], number, source)


def _varied(line: bytes, number: int, source: str) -> bytes:
    """The line with one of its numbers changed; an audit record with its event's serial moved on."""
    if source == "auditd":
        turn = number // 1_000
        return re.sub(rb":(\d+)\):", lambda found: b":%d):" % (int(found[1]) + 100_000 * turn), line, count=1)
    return _NUMBER.sub(b"%d" % (10 + number % 60_000), line, count=1) if number % 3 else line


def _read(reader: Reader, lines: list[bytes]) -> tuple[int, float]:
    began = time.process_time()
    events = sum(isinstance(item, Event) for item in reader(lines))
    return events, time.process_time() - began


def _decode(lines: list[bytes]) -> float:
    decode = msgspec.json.Decoder().decode
    began = time.process_time()
    for line in lines:
        decode(line)
    return time.process_time() - began


if __name__ == "__main__":
    main()
