"""`tocsin rules backtest` and `tocsin hunt` on what a server has stored, as a person reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stored_events import StoredEvents
from tocsin.cli.app import main
from tocsin.config import load_settings
from tocsin.model.event import Event
from tocsin.state.life.tags import tag_agent
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.processes.first_start import open_server_state

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

    def use_rules(self) -> None:
        """From now on they are the active ones, with a noise budget of one alert a day."""
        (self._folder / "tocsin.toml").write_text(f"rulesets = []\nrules = ['{self.rules}']\nnoise_budget = 1\n")

    def tag(self, agent: str, tags: dict[str, str]) -> None:
        """Give an agent tags."""
        settings = load_settings(self._folder / "tocsin.toml", data_dir=self._folder / "data")
        engine = open_server_state(settings, 0)
        with engine.begin() as connection:
            tag_agent(connection, settings.org, agent, tags, (), 0)
        engine.dispose()

    def reports(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Backtests by title."""
        said = self.run("rules", "backtest", "--json", *arguments)
        return {report["title"]: report for report in map(json.loads, said.splitlines())}

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


_LOGIN, _SHELL, _MANY = (f"6f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d0{number}" for number in (1, 2, 3))


@pytest.mark.parametrize("named", [_LOGIN, _MANY])
def test_a_correlation_comes_with_what_it_looks_at(kept: Kept, named: str) -> None:
    """By the id of a member, or of the correlation itself: both are judged, and nothing else."""
    kept.use_rules()
    reports = kept.reports(named)
    told = {title: (each["hits"], each["alerts"], each["silent"]) for title, each in reports.items()}
    assert told == {"Login": (2, 0, True), "Many logins": (2, 1, False)}
    assert list(kept.reports(_SHELL)) == ["Shell"]


@pytest.mark.parametrize(
    ("tags", "shells"),
    [
        ("include: [role=web]", 1),
        ("include: [role=db, canary]", 0),
        ("exclude: [role]", 0),
        ("exclude: [role=db]", 1),
        ("include: [role=web], exclude: [env=test]", 0),
    ],
)
def test_a_backtest_leaves_out_agents_that_the_rule_is_not_for(kept: Kept, tags: str, shells: int) -> None:
    """By the tags that agents have now, as the running detector does; suppressed or not."""
    kept.tag("h", {"role": "web", "env": "test"})
    kept.rules.write_text(_RULES.replace("/sh}, condition: s}", f"/sh}}, condition: s}}\ntocsin: {{tags: {{{tags}}}}}"))
    assert kept.reports(str(kept.rules))["Shell"]["hits"] == shells
    assert kept.reports("--without-suppressions", str(kept.rules))["Shell"]["alerts"] == shells


@pytest.mark.parametrize(("role", "hits"), [("web", 1), ("db", 0)])
def test_a_backtest_minds_which_agents_a_ruleset_is_assigned_to(kept: Kept, role: str, hits: int) -> None:
    """A correlation counts only what the agents of its rules' ruleset have sent."""
    kept.use_rules()
    kept.tag("h", {"role": "web"})
    kept.run("rules", "assign", "rules", "--tag", f"role={role}")
    found = {title: report["alerts"] for title, report in kept.reports().items()}
    assert found == {"Shell": hits, "Login": 0, "Many logins": hits, "Seldom": 0}


def test_suppressions_in_force_are_told_apart(kept: Kept) -> None:
    """What they hide is counted under their ids, for rules and correlations; without them it is as before."""
    kept.use_rules()
    until = ("--owner", "ops", "--reason", "known", "--expires", "1d")
    kept.run("suppress", "add", "process.file.path = '/bin/sh'", "--rule", _SHELL, *until)
    kept.run("suppress", "add", "process.file.path LIKE '/bin/log%'", "--rule", _MANY, *until)
    reports = kept.reports()
    shell, login, many = reports["Shell"], reports["Login"], reports["Many logins"]
    assert (shell["hits"], shell["alerts"], [(each["hits"], each["alerts"]) for each in shell["hidden"]]) == (
        0,
        0,
        [(1, 1)],
    )
    assert (login["hits"], login["hidden"]) == (2, [])
    assert (many["hits"], many["alerts"], [(each["hits"], each["alerts"]) for each in many["hidden"]]) == (
        0,
        0,
        [(2, 1)],
    )
    assert shell["hidden"][0]["expression"] == "process.file.path = '/bin/sh'"
    assert shell["hidden"][0]["owner"] == "ops"
    said = kept.run("rules", "backtest", _SHELL)
    assert f"1 more hits and 1 alerts are suppressed by {shell['hidden'][0]['id']} of ops:" in said
    assert said.splitlines()[-1].endswith("; 1 more hits are suppressed")
    regardless = kept.reports("--without-suppressions")
    assert {title: (each["hits"], each["alerts"], each["hidden"]) for title, each in regardless.items()} == {
        "Login": (2, 0, []),
        "Many logins": (2, 1, []),
        "Shell": (1, 1, []),
        "Seldom": (0, 0, []),
    }


def test_a_noise_budget_stages_in_a_backtest_too(kept: Kept) -> None:
    """The day on which the rule would have been staged, and the alerts told before; not asked for, none is said."""
    kept.use_rules()
    assert kept.reports(_SHELL)["Shell"]["budget"] == {"alerts_a_day": 1, "exceeded_on": "", "told": 1}
    assert kept.reports(_SHELL, "--without-suppressions")["Shell"]["budget"] is None


def test_a_hunt_shows_what_was_asked_for(kept: Kept) -> None:
    """Of JSON that no class knows, the values at the paths of the expression stand beside the event, made harmless."""
    said = kept.run("hunt", "unmapped.source.actor.name like 'eve%' and unmapped.source.kinds = 'b' and time > 5")
    *_, line = said.splitlines()
    assert line.endswith("Base Event: Other  unmapped.source.actor.name=eve\\x1b[2J  unmapped.source.kinds=a, b")
    (line,) = kept.run("search", "unmapped.source.n = 7").splitlines()
    assert line.endswith("unmapped.source.n=7")
    *_, line = kept.run("hunt", "process.file.path = '/bin/sh' and activity_id = 1").splitlines()
    assert line.endswith("Process Activity: Launch  process.file.path=/bin/sh")
