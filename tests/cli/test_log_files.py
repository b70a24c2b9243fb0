"""Files of logs by their looks: which format, which time, which zone."""

from __future__ import annotations

import datetime as dt
import gzip
import os
from pathlib import Path

import pytest

from tocsin.cli.log_files import Origin, read_file, read_source, zone_named
from tocsin.model.errors import BadInput
from tocsin.model.event import Event

GOLDEN = Path(__file__).parents[1] / "golden"
LOGS = sorted(GOLDEN.glob("*/*.log"))


def _first_time(path: Path, zone: dt.tzinfo = dt.UTC) -> dt.datetime:
    event = next(iter(read_file(Origin(path, "syslog", zone))))
    assert isinstance(event, Event)
    return dt.datetime.fromtimestamp(int(event.values["time"]) / 1000, dt.UTC)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log.parent.name}/{log.stem}")
def test_auto_reads_what_the_named_format_reads(log: Path, tmp_path: Path) -> None:
    """The first lines say which format a file is in, packed or not."""
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    named = list(read_source([log], log.parent.name))
    assert [type(item) for item in read_source([log], "auto")] == [type(item) for item in named]
    times = [item.values["time"] for item in named if isinstance(item, Event)]
    if log.parent.name != "syslog":  # whose years depend on when the file was written
        assert [item.values["time"] for item in read_source([packed], "auto") if isinstance(item, Event)] == times


def test_a_file_that_looks_like_nothing_is_refused(tmp_path: Path) -> None:
    """With its name and what to do; an empty one has no events."""
    strange = tmp_path / "strange.bin"
    strange.write_bytes(b"\x00\x01\x02\n" * 9)
    with pytest.raises(BadInput, match=r"strange\.bin: its first lines look like no known format; name one: --source"):
        list(read_source([strange], "auto"))
    strange.write_bytes(b"\n")
    assert list(read_source([strange], "auto")) == []


def test_the_year_follows_from_when_the_file_was_written(tmp_path: Path) -> None:
    """A log of last year, copied with its time, stays of last year."""
    log = tmp_path / "auth.log"
    log.write_text("Dec 31 23:59:59 h sshd[1]: x\n")
    written = dt.datetime(2021, 1, 1, 0, 1, tzinfo=dt.UTC).timestamp()
    os.utime(log, (written, written))
    assert _first_time(log).year == 2020


def test_a_zone_moves_the_times_that_name_none(tmp_path: Path) -> None:
    """One that does not exist is refused."""
    log = tmp_path / "auth.log"
    log.write_text("Jan  2 03:04:05 h sshd[1]: x\n")
    assert (_first_time(log).hour, _first_time(log, zone_named("Europe/Berlin")).hour) == (3, 2)
    assert zone_named("UTC") is dt.UTC
    with pytest.raises(BadInput, match="no time zone 'Nowhere'"):
        zone_named("Nowhere")
