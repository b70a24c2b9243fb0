"""The commands about rules' quality as a person types them, on files and on what a server has seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

import sample_intrusion
from lint_cases import GOOD_RULE
from stored_events import StoredEvents
from tocsin.alert import change
from tocsin.alert.read import Alert, Filter, page
from tocsin.alert.record import record
from tocsin.cli.app import main
from tocsin.config import load_settings
from tocsin.detect.sigma.library import load
from tocsin.model.event import Event
from tocsin.model.finding import Finding
from tocsin.ports import Selection
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.processes.first_start import open_server_state

_RULE = """\
title: Command Of A Web Server
id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11
level: high
tags: [attack.execution, attack.t1059.004]
logsource:
    product: linux
    category: process_creation
detection:
    selection:
        Image|endswith: {image}
    condition: selection
"""
_ATTACK = [{"id": "T1059.004", "name": "Unix Shell", "tactics": ["execution"], "platforms": ["Linux"]}]
_ATTACK += [{"id": "T1014", "name": "Rootkit", "tactics": ["stealth"], "platforms": ["Linux"]}]


class Place:
    """A folder with a rule, and commands whose settings know no other."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.rule = folder / "team" / "web_server_command.yml"
        self.rule.parent.mkdir()
        self.rule.write_text(_RULE.format(image="/nc"))
        (folder / "tocsin.toml").write_text(f'rulesets = []\nrules = ["{self.rule.parent}"]\n')
        self.data_dir = folder / "data"

    def write(self, name: str, *objects: object) -> str:
        (self.folder / name).write_bytes(b"\n".join(map(msgspec.json.encode, objects)))
        return str(self.folder / name)

    def run(self, *arguments: str, data: bool = True) -> tuple[int, str]:
        place = ["--config", str(self.folder / "tocsin.toml"), *(["--data-dir", str(self.data_dir)] if data else [])]
        code = main([*arguments, *place])
        said = self._capsys.readouterr()
        return code, said.out + said.err


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    """A folder with a rule."""
    return Place(tmp_path, capsys)


@pytest.fixture
def seen(place: Place) -> Iterator[list[Finding]]:
    """The same with a server's state and store that know an intrusion; the rule is one that has found part of it."""
    now = SystemClock().now_ms()
    settings = load_settings(place.folder / "tocsin.toml", data_dir=place.data_dir)
    engine = open_server_state(settings, now)
    findings = sample_intrusion.findings(sample_intrusion.start_within_a_window(now))
    first = next(each for each in findings if each.class_uid == 1007)
    place.rule.write_text(_RULE.format(image="/dash").replace("5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11", first.rule_id))
    with engine.begin() as connection:
        record(connection, findings, now)
    yield findings
    engine.dispose()


def test_lint_names_places_and_mends(place: Place) -> None:
    """Problems with file, line and lint; --fix mends them; then nothing is left and the exit code says so."""
    place.rule.write_text(GOOD_RULE.replace("level: medium", "level: Medium"))
    code, said = place.run("rules", "lint", data=False)
    line = GOOD_RULE.splitlines().index("level: medium") + 1
    assert (code, f"{place.rule}:{line}: error: level 'Medium'" in said) == (1, True)
    assert place.run("rules", "lint", "--disable", "invalid-level", data=False)[0] == 0
    assert place.run("rules", "lint", "--fix", data=False)[0] == 0
    assert place.rule.read_text() == GOOD_RULE
    assert place.run("rules", "lint", "--disable", "invalid-levle", data=False) == (
        2,
        "tocsin: there is no lint 'invalid-levle'; did you mean invalid-level?; --list lists them\n",
    )
    assert "invalid-level" in place.run("rules", "lint", "--list", data=False)[1]


def test_lint_can_be_strict_and_say_all(place: Place) -> None:
    """--level info shows style, --strict makes of it a reason to fail."""
    place.rule.write_text(GOOD_RULE)
    assert place.run("rules", "lint", data=False)[0] == 0
    code, said = place.run("rules", "lint", "--level", "info", "--strict", "--json", data=False)
    assert (code, {json.loads(line)["lint"] for line in said.splitlines()}) == (1, {"file-prefix"})


def test_explain_shows_the_nearest_event_of_a_file(place: Place) -> None:
    """Of many events, the one that comes nearest is explained, with what it would take."""
    events = place.write("e.ndjson", {"Image": "/bin/ls"}, {"Image": "/bin/ncx"}, {"other": 1})
    code, said = place.run("rules", "explain", str(place.rule), events, "--source", "raw")
    assert code == 0
    assert "event 2 of 3" in said
    assert "✗ does not match  Command Of A Web Server" in said
    assert "It would match if\n  Image|endswith: /nc  held; seen at unmapped.source.Image: '/bin/ncx'" in said
    code, said = place.run("rules", "explain", "web_server_command", events, "--source", "raw", "--all", "--json")
    assert [json.loads(line)["matches"] for line in said.splitlines()] == [False, False, False]


def test_explain_never_lets_an_event_act_on_the_terminal(place: Place) -> None:
    """What an attacker wrote into an event is shown, not obeyed."""
    events = place.write("e.ndjson", {"Image": "\x1b[2J[red]/nc"})
    assert "'\\x1b[2J[red]/nc'" in place.run("rules", "explain", str(place.rule), events, "--source", "raw")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no-rule", "-"), "there is no rule 'no-rule'"),
        (("web_server_command", "nowhere.json"), "no Tocsin data in"),
        (("web_server_command", "EMPTY"), "there is no event in it"),
    ],
)
def test_explain_says_what_is_missing(place: Place, arguments: tuple[str, str], said: str) -> None:
    """One sentence and exit code 2."""
    empty = place.write("empty.ndjson")
    given = [empty if each == "EMPTY" else each for each in arguments]
    code, answer = place.run("rules", "explain", *given)
    assert (code, said in answer) == (2, True)


def test_a_correlation_is_not_explained_on_one_event(place: Place) -> None:
    """It is about many events: the answer names its rules."""
    counted = "type: event_count, group-by: [User], timespan: 5m, condition: {gte: 3}"
    body = f"{{{counted}, rules: [5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11]}}"
    text = f"title: Many\nid: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a12\ncorrelation: {body}\n"
    (place.rule.parent / "many.yml").write_text(text)
    code, said = place.run("rules", "explain", "Many", "-")
    assert (code, "name one of its rules: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11" in said) == (2, True)


def test_explain_takes_alerts_and_events_of_the_store(place: Place, seen: list[Finding]) -> None:
    """An alert's id explains its evidence, an event's id that event."""
    settings = load_settings(place.folder / "tocsin.toml", data_dir=place.data_dir)
    engine = open_server_state(settings, SystemClock().now_ms())
    with engine.begin() as connection:
        (key,) = {each.id for each in _alerts(connection) if each.rule_id == _rule_id(place)}
    assert "✓ matches" in place.run("rules", "explain", "web_server_command", key)[1]
    store = StoredEvents(place.data_dir, engine, settings.org)
    event = Event(1007, {"time": seen[0].time, "activity_id": 1, "process.file.path": "/bin/sh", "device.uid": "h"})
    store.add([event])
    uid = str(store.query.events(_everything(settings.org))[0]["metadata.uid"])
    store.close()
    engine.dispose()
    assert "seen: '/bin/sh'" in place.run("rules", "explain", "web_server_command", uid)[1]


@pytest.mark.usefixtures("seen")
def test_tune_learns_from_how_alerts_were_closed(place: Place) -> None:
    """What was closed as a false positive is left out by the filter that is written, which the rule then obeys."""
    assert "was closed as a false positive" in place.run("rules", "tune", "web_server_command")[1]
    settings = load_settings(place.folder / "tocsin.toml", data_dir=place.data_dir)
    engine = open_server_state(settings, SystemClock().now_ms())
    with engine.begin() as connection:
        for each in _alerts(connection):
            if each.rule_id == _rule_id(place):
                change.close(connection, settings.org, each.id, "ann", "false positive: health check", 1)
    engine.dispose()
    code, said = place.run("rules", "tune", "web_server_command", "--write", str(place.rule.parent), "--json")
    (trial, *_) = json.loads(said)["trials"]
    assert (code, trial["removes"] > 0, trial["keeps"]) == (0, True, 0)
    code, said = place.run("rules", "check", data=False)
    assert (code, "1 filters" in said) == (0, True)


def test_tune_takes_files(place: Place) -> None:
    """False and true events in files: the filter names what only the false ones have."""
    false = place.write("false.ndjson", *[{"Image": "/bin/nc", "User": "backup"}] * 3)
    true = place.write("true.ndjson", {"Image": "/bin/nc", "User": "www-data"})
    code, said = place.run("rules", "tune", str(place.rule), "--false", false, "--true", true, "--source", "raw")
    assert code == 0
    assert "removes 3 of 3 false positives, keeps 1 of 1 true ones" in said
    assert "        User: 'backup'\n" in said
    assert place.run("rules", "tune", str(place.rule), "--true", true)[0] == 2


def test_coverage_without_and_with_attack(place: Place) -> None:
    """Without ATT&CK's list it says how to get one; with it there are gaps, a layer and a limit to fail under."""
    code, said = place.run("rules", "coverage")
    assert (code, "name it with --attack" in said) == (0, True)
    assert place.run("rules", "coverage", "--gaps")[0] == 2
    attack, layer = place.write("attack.json", _ATTACK), place.folder / "layer.json"
    options = ("--attack", attack, "--navigator", str(layer), "--gaps", "--platform", "linux")
    code, said = place.run("rules", "coverage", *options)
    assert (code, "1 of 2 (50 %) techniques" in said, "T1014      Rootkit" in said) == (0, True, True)
    assert {each["techniqueID"] for each in json.loads(layer.read_bytes())["techniques"]} == {"T1014", "T1059.004"}
    assert place.run("rules", "coverage", *options, "--fail-under", "60")[0] == 1
    assert "ATT&CK has no platform 'linix'" in place.run("rules", "coverage", *options[:5], "--platform", "linix")[1]


@pytest.mark.usefixtures("seen")
def test_scorecard_of_what_a_server_has_seen(place: Place) -> None:
    """A rule without cases, whose log source sent nothing to the store, has a bad grade, which can fail CI."""
    code, said = place.run("rules", "scorecard", "--json", "--fail-under", "C")
    card = json.loads(said)
    assert (code, card["grade"]) == (1, "D")
    assert {"untested", "unfed"} <= {reason["kind"] for reason in card["reasons"]}
    assert place.run("rules", "scorecard", "--fail-under", "Z")[0] == 2
    assert "1 D" in place.run("rules", "scorecard")[1]


def test_rules_that_were_applied_count(place: Place, seen: list[Finding]) -> None:
    """Without paths, commands are about the rules of the settings and those that were applied to the server."""
    other = place.folder / "applied"
    other.mkdir()
    (other / "a.yml").write_text(_RULE.format(image="/socat").replace("Command Of", "Other Command Of"))
    assert seen
    assert place.run("rules", "apply", str(other))[0] == 0
    assert "2 rules" in place.run("rules", "coverage")[1]
    assert "2 rules" in place.run("rules", "scorecard")[1]
    events = place.write("e.ndjson", {"Image": "/bin/socat"})
    code, said = place.run("rules", "explain", "Other Command Of A Web Server", events, "--source", "raw")
    assert (code, "✓ selection (all of) line 9" in said) == (0, True)


def test_cases_are_reported_for_ci(place: Place) -> None:
    """`rules test` writes JUnit, and counts rules without cases where that is allowed."""
    assert place.run("rules", "test", data=False)[0] == 1
    assert place.run("rules", "test", "--allow-untested", data=False) == (
        0,
        "0 of 0 cases as they should be\n0 of 1 rules have cases\n",
    )
    for kind, image in (("fires", "/bin/nc"), ("misses", "/bin/ls")):
        place.rule.with_suffix(f".{kind}.json").write_text(json.dumps({"Image": image}))
    report = place.folder / "junit.xml"
    assert place.run("rules", "test", "--junit", str(report), data=False)[0] == 0
    assert 'tests="2" failures="0"' in report.read_text()


def _alerts(connection: sa.Connection) -> list[Alert]:
    return page(connection, "default", Filter(), limit=200).alerts


def _rule_id(place: Place) -> str:
    return load([place.rule]).rules[0].id


def _everything(org: str) -> Selection:
    return Selection(org, 0, 1 << 62)


def test_explain_says_first_that_an_event_is_of_another_log_source(place: Place) -> None:
    """The right class, but written by another product: that comes before the terms; an event of the source has none."""
    start: dict[str, object] = {
        "class_uid": 1007,
        "time": 1,
        "activity_id": 1,
        "process": {"file": {"path": "/bin/nc"}},
    }
    windows = start | {"device": {"os": {"name": "Windows", "type_id": 100}}}
    code, said = place.run("rules", "explain", str(place.rule), place.write("w.ndjson", windows), "--source", "ocsf")
    verdict, first, *_ = said.splitlines()
    assert (code, verdict.startswith("✗ does not match")) == (0, True)
    assert first.startswith("✗ the event is not of the rule's log source linux/process_creation/*: that is ")
    linux = start | {"device": {"os": {"name": "Linux", "type_id": 200}}}
    code, said = place.run("rules", "explain", str(place.rule), place.write("l.ndjson", linux), "--source", "ocsf")
    assert (code, said.startswith("✓ matches"), "log source" in said) == (0, True, False)


def test_explain_says_that_a_file_is_empty(place: Place) -> None:
    """Nothing in it is no matter of the format; something that cannot be read is."""
    empty = place.write("empty.ndjson")
    assert place.run("rules", "explain", str(place.rule), empty) == (2, f"tocsin: {empty}: there is no event in it\n")
    broken = place.folder / "broken.ndjson"
    broken.write_text("{no JSON\n")
    code, said = place.run("rules", "explain", str(place.rule), str(broken), "--source", "ocsf")
    assert (code, "--source names its format" in said) == (2, True)
