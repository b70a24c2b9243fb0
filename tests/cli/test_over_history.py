"""`tocsin rules backtest` and `tocsin hunt` on what a server has stored, as a person reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stored_events import StoredEvents
from tocsin.cli.app import main
from tocsin.config import load_settings
from tocsin.model.event import Event
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.first_start import open_server_state

_RULES = """\
title: Seldom
id: 6f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d00
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /seldom}, condition: s}
---
title: Login
id: 6f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d01
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /login}, condition: s}
---
title: Shell
id: 6f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d02
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /sh}, condition: s}
---
title: Many logins
id: 6f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d03
correlation: {type: event_count, rules: [6f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d01], timespan: 10m, condition: {gte: 2}}
"""


class Kept:
    """A server's data with events in it, and commands on them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys
        (folder / "tocsin.toml").write_text("rulesets = []\n")
        self.rules = folder / "rules.yml"
        self.rules.write_text(_RULES)
        settings = load_settings(folder / "tocsin.toml", data_dir=folder / "data")
        now = SystemClock().now_ms()
        engine = open_server_state(settings, now)
        store = StoredEvents(folder / "data", engine, settings.org)
        store.add(_events(now - 60_000))
        store.close()
        engine.dispose()

    def run(self, *arguments: str) -> str:
        place = ["--config", str(self._folder / "tocsin.toml"), "--data-dir", str(self._folder / "data")]
        assert main([*arguments, *place]) == 0
        return self._capsys.readouterr().out


@pytest.fixture
def kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Kept:
    """A shell, two logins, and JSON of a product that nobody knows."""
    return Kept(tmp_path, capsys)


def _events(time: int) -> list[Event]:
    starts = [
        Event(1007, {"time": time, "activity_id": 1, "process.file.path": path, "device.uid": "h"})
        for path in ("/bin/login", "/bin/login", "/bin/sh")
    ]
    original = json.dumps({"actor": {"name": "eve\x1b[2J"}, "kinds": ["a", "b"], "n": 7})
    return [*starts, Event(0, {"time": time, "activity_id": 99, "unmapped.source": original, "device.uid": "h"})]


def test_a_backtest_tells_of_hits_first_and_sums_up_silence(kept: Kept) -> None:
    """Most hits first, no lines that say nothing, members of correlations are explained; --verbose names the rest."""
    said = kept.run("rules", "backtest", str(kept.rules))
    assert said.index("Login  ") < said.index("Shell  ") < said.index("1 rule without hits; --verbose lists them")
    assert "2 hits in 3 events; raises none of its own: a correlation names it" in said
    assert not [line for line in said.splitlines() if line.endswith(": ")]
    assert "Seldom" not in said
    assert "  Seldom  medium" in kept.run("rules", "backtest", str(kept.rules), "--verbose")
    reports = [json.loads(line) for line in kept.run("rules", "backtest", str(kept.rules), "--json").splitlines()]
    told = {each["title"]: (each["hits"], each["alerts"], each["silent"]) for each in reports}
    assert told == {
        "Login": (2, 0, True),
        "Many logins": (2, 1, False),
        "Shell": (1, 1, False),
        "Seldom": (0, 0, False),
    }


def test_a_hunt_shows_what_was_asked_for(kept: Kept) -> None:
    """Of JSON that no class knows, the values at the paths of the expression stand beside the event, made harmless."""
    said = kept.run("hunt", "unmapped.source.actor.name like 'eve%' and unmapped.source.kinds = 'b' and time > 5")
    *_, line = said.splitlines()
    assert line.endswith("Base Event: Other  unmapped.source.actor.name=eve\\x1b[2J  unmapped.source.kinds=a, b")
    (line,) = kept.run("search", "unmapped.source.n = 7").splitlines()
    assert line.endswith("unmapped.source.n=7")
    *_, line = kept.run("hunt", "process.file.path = '/bin/sh' and activity_id = 1").splitlines()
    assert line.endswith("Process Activity: Launch  process.file.path=/bin/sh")
