"""Audit logs and the events they become, as files: `tests/golden/auditd/NAME.log` and `NAME.ndjson`.

`TOCSIN_UPDATE_GOLDEN=1 pytest tests/normalize/auditd/test_golden.py` writes the expected files anew; read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tocsin.model.event import Event, nest
from tocsin.normalize.auditd import read_events

GOLDEN = Path(__file__).parents[2] / "golden" / "auditd"
LOGS = sorted(GOLDEN.glob("*.log"))


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_log_becomes_the_expected_events(log: Path) -> None:
    """Every event of the log is, attribute by attribute, the one that is written down."""
    events = list(read_events(log.read_bytes().splitlines(), hostname="golden"))
    printed = [json.dumps(nest(event), sort_keys=True) for event in events if isinstance(event, Event)]
    assert len(printed) == len(events)
    expected = log.with_suffix(".ndjson")
    if os.environ.get("TOCSIN_UPDATE_GOLDEN"):
        expected.write_text("\n".join(printed) + "\n")
    assert printed == expected.read_text().splitlines()


def test_no_expected_file_is_orphaned() -> None:
    """Each expected file has its log, and the other way round."""
    assert {log.stem for log in LOGS} == {expected.stem for expected in GOLDEN.glob("*.ndjson")}
    assert LOGS
