"""Rules on JSON files as they stand."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from tocsin.cli import main
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.evaluate.raw import RawRules
from tocsin.detect.history.replay import frames_of, raw_events
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.detect.sigma.pipeline import piped
from tocsin.model.errors import BadInput
from tocsin.model.event import Event
from tocsin.wiring.at_hand.raw_run import run

_RULE = """title: {title}
id: 00000000-0000-4000-8000-00000000000{number}
logsource: {{product: windows, category: process_creation}}
level: high
detection: {detection}
"""
_SHELL = "{s: {Image|endswith: '\\\\cmd.exe', 'process.args|contains': '/c'}, f: {EventID: 4688}, condition: s and f}"
_WORD = "{words: [mimikatz, 'C:/Temp'], condition: words}"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Two rules: one on fields, one on keywords."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for number, detection in enumerate((_SHELL, _WORD)):
        title = f"rule {number}"
        (folder / f"{number}.yml").write_text(_RULE.format(title=title, number=number, detection=detection))
    return folder


def _line(image: str, args: object, **more: object) -> bytes:
    return msgspec.json.encode({"EventID": 4688, "Image": image, "process": {"args": args}, **more})


_LINES = [
    _line("C:\\Windows\\CMD.exe", ["cmd", "/C dir"]),
    _line("C:\\Windows\\cmd.exe", ["dir"]),
    b'{"Image":"x\\\\cmd.exe","process.args":"a /c b","EventID":"04688"}',
    b'{"note":{"deep":["x M\\u0069mikatz"]},"EventID":1}',
    b'{"note":"c:\\/temp\\/a"}',
]
_EXPECTED = [(0, "rule 0"), (2, "rule 0"), (3, "rule 1"), (4, "rule 1")]


def test_nested_fields_keys_with_dots_lists_and_escapes_are_seen(rules: Path) -> None:
    """Dotted paths, literal dots, elements of lists, and keywords that JSON spells in its own ways."""
    judged = RawRules(load([rules], RAW).rules).judge(_LINES)
    assert [(at, rule.title) for at, rule in judged.matches] == _EXPECTED
    assert judged.events == len(_LINES)


def test_processes_change_nothing(rules: Path, tmp_path: Path) -> None:
    """Many blocks over several processes: the same output in the same order as from one."""
    path = tmp_path / "events.ndjson.gz"
    with gzip.open(path, "wb") as file:
        file.writelines(line + b"\n" for line in _LINES * 12_000)
    alone, together = (list(run(load([rules], RAW), [path], processes)) for processes in (1, 3))
    assert alone == together
    assert sum(sum(outcome.hits.values()) for outcome in alone) == 48_000
    last = msgspec.json.decode(alone[-1].output.splitlines()[-1])
    assert (last["rule"]["title"], last["line"], last["event"]) == ("rule 1", 60_000, {"note": "c:/temp/a"})


def test_the_command_prints_matches_and_names_what_it_cannot_read(
    rules: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """An array, lines, and one that is no JSON: matches on stdout, the place and a summary on stderr, exit code 1."""
    (tmp_path / "array.json").write_bytes(b"[\n  " + b",\n ".join(_LINES) + b"]")
    (tmp_path / "lines.json").write_bytes(b"\n".join([*_LINES, b"", b"no JSON"]))
    files = [str(tmp_path / name) for name in ("array.json", "lines.json")]
    assert main(["rules", "run", "--rules", str(rules), "--source", "raw", *files]) == 1
    out, err = capfdbinary.readouterr()
    matches = [msgspec.json.decode(line) for line in out.splitlines()]
    found = [(Path(match["file"]).name, match["line"], match["rule"]["title"]) for match in matches]
    assert found == [(name, at + 1, title) for name in ("array.json", "lines.json") for at, title in _EXPECTED]
    assert b"lines.json:7: no JSON object" in err
    assert b"10 events, 2 rules: 8 matches of 2 rules" in err


def test_a_pipeline_renames_fields_where_its_conditions_hold(rules: Path, tmp_path: Path) -> None:
    """A pySigma pipeline as its users write it; what it adds must hold too."""
    pipeline = tmp_path / "pipeline.yml"
    pipeline.write_text(
        "name: ours\npriority: 10\ntransformations:\n"
        "  - {id: names, type: field_name_mapping, mapping: {Image: exe, EventID: code},\n"
        "     rule_conditions: [{type: logsource, category: process_creation}]}\n"
        "  - {id: only, type: add_condition, conditions: {kind: start},\n"
        "     rule_conditions: [{type: logsource, product: windows}]}\n"
    )
    judge = RawRules(load([rules / "0.yml"], piped([pipeline])).rules).judge
    event = {"exe": "a\\cmd.exe", "code": 4688, "process": {"args": "/c"}}
    lines = [msgspec.json.encode(each) for each in (event, {**event, "kind": "start"}, {"Image": "a\\cmd.exe"})]
    assert [at for at, _ in judge(lines).matches] == [1]


def test_what_is_no_pipeline_is_said(tmp_path: Path) -> None:
    """A missing file, and one that is something else."""
    (tmp_path / "list.yml").write_text("- 1\n")
    for name in ("none.yml", "list.yml"):
        with pytest.raises(BadInput, match=name):
            piped([tmp_path / name])


@pytest.mark.slow
@pytest.mark.data
def test_columns_and_whole_originals_give_the_same(public_data: Path) -> None:
    """All public rules on real CloudTrail events: taken apart, or looked through as JSON and parsed where keys are."""
    rules = load([public_data / "sigma"], RAW).rules
    detonations = (public_data / "cloudtrail" / "stratus" / "detonations.jsonl").read_bytes().splitlines()
    lines = [msgspec.json.encode(event) for line in detonations for event in msgspec.json.decode(line)["events"]]
    judged = RawRules(rules).judge(lines)
    events = [event for event in raw_events(lines) if isinstance(event, Event)]
    (frame,) = frames_of(events, org="o", origin="h").values()
    whole = {(row, rule.id) for rule, rows in Engine(rules).matches(frame) for row in rows}
    assert {(at, rule.id) for at, rule in judged.matches} == whole
    assert len(whole) > 20
