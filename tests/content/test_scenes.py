"""What the Base rules make of whole recordings: an intrusion, an ordinary working minute, another machine's log."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from content.capture_scene import RECORDINGS, SCENES
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.replay import replay
from tocsin.detect.sigma.library import load, ruleset_folder
from tocsin.model.event import Event
from tocsin.normalize.auditd import read_events

RULES: Final = load([ruleset_folder("base")]).rules
NAMES: Final = {rule.id: Path(rule.path).stem for rule in RULES}
MOST_BYTES: Final = 300_000

# In the order in which the intruder goes about it.
INTRUSION: Final = {
    "shell-below-web-server",
    "discovery-below-web-server",
    "cloud-metadata-by-tool",
    "run-from-temporary-folder",
    "run-hidden-program",
    "shell-opens-connection",
    "shadow-read",
    "credentials-searched-for",
    "ssh-private-key-read",
    "cloud-credentials-read",
    "cron-changed",
    "authorized-keys-changed",
    "systemd-unit-changed",
    "account-created",
    "account-given-privileges",
    "setuid-bit-given",
    "preload-changed",
    "secrets-archived",
    "upload-by-tool",
    "shell-history-removed",
    "log-emptied",
    "log-deleted",
}


def _events(lines: Iterable[bytes]) -> list[Event]:
    return [item for item in read_events(lines) if isinstance(item, Event)]


def _recorded(scene: str) -> list[Event]:
    items = list(read_events(gzip.decompress(RECORDINGS[scene].read_bytes()).splitlines()))
    events = [item for item in items if isinstance(item, Event)]
    assert len(events) == len(items)
    return events


def _fired(events: list[Event]) -> Counter[str]:
    return Counter(NAMES[finding.rule_id] for finding in replay(Engine(RULES), events))


def test_intrusion_is_found_at_every_step() -> None:
    """Each step of the sample intrusion is found, and nothing of what others do on the host meanwhile."""
    events = _recorded("intrusion")
    assert set(_fired(events)) == INTRUSION
    programs = {event.attributes().get("process.file.name") for event in events}
    assert {"nginx", "make", "git", "logrotate", "rsync"} <= programs


def test_intrusion_is_small_enough_to_ship() -> None:
    """The recording that comes with the package stays small."""
    assert RECORDINGS["intrusion"].stat().st_size < MOST_BYTES


def test_ordinary_work_raises_nothing() -> None:
    """Serving, building, looking after the host and installing packages fire no rule."""
    events = _recorded("quiet")
    assert len(events) > 1000
    assert _fired(events) == Counter()


def test_every_scene_has_its_recording() -> None:
    """A script without a recording, or a recording without a script, is a mistake."""
    scripts = {path.stem for path in SCENES.glob("*.sh")} - {"prepare", "intrusion-outside"}
    assert scripts == set(RECORDINGS)


@pytest.mark.data
def test_real_log_of_another_machine(public_data: Path) -> None:
    """In a real RHEL 7 log only what administrators did to audit, to accounts and with curl is found."""
    log = public_data / "audit/beats/filebeat/module/auditd/log/test/audit-rhel7.log"
    assert _fired(_events(log.read_bytes().splitlines())) == {
        "audit-switched-off": 7,
        "account-given-privileges": 2,
        "account-created": 1,
        "cloud-metadata-by-tool": 1,
    }
