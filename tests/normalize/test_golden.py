"""Logs of all sources and the events they become, as files: `tests/golden/SOURCE/NAME.log` and `NAME.ndjson`.

`TOCSIN_UPDATE_GOLDEN=1 pytest tests/normalize/test_golden.py` writes the expected files anew; read the diff.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pytest

from ocsf_schema import problems
from tocsin.model.event import Event, nest
from tocsin.normalize.detection import source_of
from tocsin.wiring.sources import READERS, syslog_reader

GOLDEN = Path(__file__).parents[1] / "golden"
WRITTEN = int(dt.datetime(2026, 1, 3, tzinfo=dt.UTC).timestamp() * 1000)
LOGS = sorted(log for log in GOLDEN.glob("*/*.log") if log.parent.name in READERS.keys() - {"auditd"})


def _events(log: Path) -> list[Event]:
    source = log.parent.name
    reader = syslog_reader(WRITTEN, dt.UTC) if source == "syslog" else READERS[source]
    items = list(reader(log.read_bytes().splitlines()))
    assert all(isinstance(item, Event) for item in items)
    return [item for item in items if isinstance(item, Event)]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log.parent.name}/{log.stem}")
def test_log_becomes_the_expected_events(log: Path) -> None:
    """Every event of the log is, attribute by attribute, the one that is written down."""
    printed = [json.dumps(nest(event), sort_keys=True) for event in _events(log)]
    expected = log.with_suffix(".ndjson")
    if os.environ.get("TOCSIN_UPDATE_GOLDEN"):
        expected.write_text("\n".join(printed) + "\n")
    assert printed == expected.read_text().splitlines()


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log.parent.name}/{log.stem}")
def test_the_events_are_valid(log: Path) -> None:
    """Each passes the published schema of its class."""
    for event in _events(log):
        assert problems(event) == [], event


@pytest.mark.parametrize("log", [*LOGS, *GOLDEN.glob("auditd/*.log")], ids=lambda log: f"{log.parent.name}/{log.stem}")
def test_a_log_is_known_by_its_first_lines(log: Path) -> None:
    """`--source auto` finds the format that each log is in."""
    assert source_of(log.read_bytes().splitlines()[:50]) == log.parent.name


def test_no_expected_file_is_orphaned() -> None:
    """Each expected file has its log, and the other way round; every format but two has some."""
    expected = {path.with_suffix("") for path in GOLDEN.glob("*/*.ndjson") if path.parent.name != "auditd"}
    assert {log.with_suffix("") for log in LOGS} == expected
    assert {log.parent.name for log in LOGS} == READERS.keys() - {"auditd", "json", "ocsf"}
