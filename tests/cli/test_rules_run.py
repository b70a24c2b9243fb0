"""`tocsin rules run` on files of events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tocsin.cli.app import main

_FAILED = (
    "Nov 23 10:00:{second:02} web1 sshd[{second}]: Failed password for root from 203.0.113.9 port 4{second} ssh2\n"
)
_ACCEPTED = "Nov 23 10:00:{second:02} web1 sshd[{second}]: Accepted password for root from 203.0.113.9 port 4 ssh2\n"
_LOG = "".join([*(_FAILED.format(second=second) for second in (11, 15, 19, 23)), _ACCEPTED.format(second=30)])
_RULES = """\
title: Failed login
name: failed_login
id: 5f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d01
logsource: {product: linux, service: sshd}
detection: {words: ['Failed password'], condition: words}
---
title: Login
name: login
id: 5f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d02
logsource: {product: linux, service: sshd}
detection: {words: ['Accepted password'], condition: words}
---
title: Many failed logins
name: many_failed
id: 5f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d03
correlation: {type: event_count, rules: [failed_login], timespan: 10m, condition: {gte: 4}}
---
title: Guessed password
id: 5f3ab1d2-6f0e-4a5c-8f5e-0c6c5a7f1d04
correlation: {type: temporal_ordered, rules: [many_failed, login], timespan: 10m}
level: high
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A file of two rules and two correlations, one of them over the other."""
    path = tmp_path / "rules.yml"
    path.write_text(_RULES)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Four failed logins and one that succeeds."""
    path = tmp_path / "auth.log"
    path.write_text(_LOG)
    return path


def _titles(out: str) -> list[str]:
    return [json.loads(line)["rule"]["title"] for line in out.splitlines()]


def test_correlations_run_and_what_they_name_is_silent(
    rules: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guessed password is one alert of five events; neither the single matches nor the inner count are told."""
    assert main(["rules", "run", "--rules", str(rules), "--source", "syslog", str(log)]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["rule"]["title"] for each in found} == {"Guessed password"}
    assert sorted(each["event"]["actor"]["process"]["pid"] for each in found) == [11, 15, 19, 23, 30]
    assert {each["rule"]["level"] for each in found} == {"high"}


def test_what_asks_to_be_told_is_told(rules: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`generate: true` of a correlation lets the rules that it names speak; below its limit it says nothing."""
    rules.write_text(_RULES.replace("condition: {gte: 4}", "condition: {gte: 5}, generate: true"))
    assert main(["rules", "run", "--rules", str(rules), "--source", "syslog", str(log)]) == 0
    assert _titles(capsys.readouterr().out) == ["Failed login"] * 4


def test_the_format_is_found_and_refusals_name_file_and_line(
    rules: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --source each file is read as what it looks like; a line that cannot be read is named with its file."""
    events = tmp_path / "events.ndjson"
    assert main(["events", str(log)]) == 0
    events.write_text(capsys.readouterr().out + "{no JSON\n")
    assert main(["rules", "run", "--rules", str(rules), str(log)]) == 0
    assert _titles(capsys.readouterr().out) == ["Guessed password"] * 5
    assert main(["rules", "run", "--rules", str(rules), str(events), str(log)]) == 1
    said = capsys.readouterr()
    assert set(_titles(said.out)) == {"Guessed password"}
    assert f"{events}:6: " in said.err


@pytest.mark.parametrize("command", ["run", "explain"])
def test_an_unknown_source_is_told_what_is_known(
    command: str, rules: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What commands about rules know has events as they stand in it."""
    rules.write_text(_RULES.partition("---")[0])
    arguments = ["--rules", str(rules), str(log)] if command == "run" else [str(rules), str(log)]
    assert main(["rules", command, *arguments, "--source", "syslogg"]) == 2
    assert capsys.readouterr().err.endswith(
        "'syslogg' is not known; known are auto, auditd, cloudtrail, json, k8s-audit, ocsf, syslog, windows, raw\n"
    )


_RAW_EVENTS = [
    {"ts": 1763892000, "message": "Failed password", "id": {"user": "root"}},
    {"@timestamp": "2025-11-23T10:00:04Z", "message": "Failed password", "id": {"user": "root"}},
    {"UtcTime": "2025-11-23 10:00:05.5", "message": "Failed password", "id.user": "root"},
    {"EventTime": 1763892007000, "message": "Failed password", "id": {"user": "root"}},
    {"time": "2025-11-23T11:00:09+01:00", "message": "Accepted password", "id": {"user": "root"}},
    {"time": "2025-11-23T10:00:10Z", "message": "Failed password", "id": {"user": "ada"}},
    {"when": "2025-11-23T10:00:10Z", "message": "Failed password", "id": {"user": "root"}},
]


def test_raw_events_are_correlated_across_files_by_their_own_times(
    rules: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Times under any usual name; files in the wrong order; what has no time is counted; members are silent."""
    rules.write_text(_RULES.replace("timespan: 10m", "group-by: [id.user], timespan: 10m"))
    late, early = tmp_path / "late.ndjson", tmp_path / "early.ndjson"
    late.write_text("\n".join(map(json.dumps, _RAW_EVENTS[3:])))
    early.write_text("\n".join(map(json.dumps, _RAW_EVENTS[:3])))
    assert main(["rules", "run", "--rules", str(rules), "--source", "raw", str(late), str(early)]) == 0
    out, err = capfdbinary.readouterr()
    found = [json.loads(line) for line in out.splitlines()]
    assert {(each["rule"]["title"], each["group"]["id.user"]) for each in found} == {("Guessed password", "root")}
    places = {(Path(each["file"]).name, each["line"]) for each in found}
    assert places == {
        ("early.ndjson", 1),
        ("early.ndjson", 2),
        ("early.ndjson", 3),
        ("late.ndjson", 1),
        ("late.ndjson", 2),
    }
    assert all(each["event"] in _RAW_EVENTS[:5] for each in found)
    assert b"events left out of correlations, having no time in any of time, @timestamp, " in err
    assert b"eventTime, ts: 1; see --time-field" in err


def test_the_field_of_the_time_can_be_named(
    rules: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Only the field that is named counts, a dotted path too; other sources have times of their own."""
    path = tmp_path / "events.ndjson"
    messages = ["Failed password"] * 4 + ["Accepted password"]
    events = [{"time": "x", "log": {"at": 1763892000 + at}, "message": text} for at, text in enumerate(messages)]
    path.write_text("\n".join(map(json.dumps, events)))
    arguments = ["rules", "run", "--rules", str(rules), str(path), "--source"]
    assert main([*arguments, "raw", "--time-field", "log.at"]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == len(events)
    assert main([*arguments, "raw"]) == 0
    out, err = capfdbinary.readouterr()
    assert (out, b"ts: 5; see --time-field" in err) == (b"", True)
    assert main([*arguments, "json", "--time-field", "log.at"]) == 2


_SHAPED = """
title: Loud
id: 66666666-0000-4000-8000-000000000001
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /nc}, condition: s}
level: low
tocsin: {title: "{{%s}} ran"}
"""


def test_a_match_has_the_same_shape_wherever_it_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rule, title, file and the whole event, of every match of many; a line where an event is one."""
    rules, events = tmp_path / "rules.yml", tmp_path / "events.ndjson"
    shown = []
    for source, field, event in (
        ("raw", "Image", {"Image": "/bin/nc"}),
        ("ocsf", "process.name", {"class_uid": 1007, "activity_id": 1, "time": 1763892000000,
                                  "process": {"name": "/bin/nc", "file": {"path": "/bin/nc"}}}),
    ):  # fmt: skip
        rules.write_text(_SHAPED % field)
        events.write_text(f"{json.dumps(event)}\n" * 120)
        assert main(["rules", "run", "--rules", str(rules), "--source", source, str(events)]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(found) == 120
        assert {"Image", "process"} & found[-1]["event"].keys()
        shown.append({name: found[-1][name] for name in ("rule", "title", "file")})
        assert found[-1].get("line", 0) == (120 if source == "raw" else 0)
    assert shown[0] == shown[1]
    assert (shown[0]["rule"]["title"], shown[0]["title"]) == ("Loud", "/bin/nc ran")


@pytest.mark.parametrize(
    ("said", "matches"),
    [
        ([], 2),
        (["product=linux"], 2),
        (["product=windows"], 1),
        (["product=Windows", "category=file_event"], 0),
        (["product=linux", "service=x"], 2),
    ],
)
def test_only_rules_for_what_the_events_are_said_to_be(
    said: list[str], matches: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rule that leaves a part of its log source open is for all of that part; what no rule is for is refused."""
    rules, events = tmp_path / "rules.yml", tmp_path / "events.ndjson"
    text = _SHAPED % "Image"
    free = text.replace("product: linux, ", "").replace("0001\n", "0002\n")
    rules.write_text(f"{text}---{free}")
    events.write_text('{"Image": "/bin/nc"}\n')
    options = [option for each in said for option in ("--logsource", each)]
    code = main(["rules", "run", "--rules", str(rules), "--source", "raw", *options, str(events)])
    out = capsys.readouterr()
    assert (code, len(out.out.splitlines())) == (0 if matches else 2, matches)
    assert matches or "no rule is for --logsource product=Windows category=file_event; the rules are for" in out.err


def test_a_log_source_has_three_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Something else than product, category or service is one sentence."""
    rules = tmp_path / "rules.yml"
    rules.write_text(_SHAPED % "Image")
    assert main(["rules", "run", "--rules", str(rules), "--source", "raw", "--logsource", "windows", "-"]) == 2
    assert "--logsource windows is not understood: write product=windows" in capsys.readouterr().err
