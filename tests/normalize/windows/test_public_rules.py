"""Public rules for Windows fire on events made for them, the whole way from the collector's JSON to the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from event_frames import frames_of
from ocsf_schema import problems
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.normalize import windows
from windows_events import REQUIRED, SHAPES, fields_for, origin_of

pytestmark = [pytest.mark.data, pytest.mark.slow]  # compiles 2,800 rules twice

# No Windows log has such events: Microsoft-Windows-Kernel-File is a trace. Or a rule without a log of its own.
_NO_LOG = {"windows/file_access/*", "windows/file_rename/*", "windows/*/*"}
# Chance finds no event for these in the rule's own terms: all of what is usual is excluded.
_UNMADE = 12


class Made(NamedTuple):
    """A rule, and an event that it finds in its own terms."""

    rule: Rule
    system: dict[str, Any]
    fields: dict[str, Any]

    def line(self, shape: str) -> bytes:
        return msgspec.json.encode(SHAPES[shape](self.system, self.fields))


@pytest.fixture(scope="module")
def rules(public_data: Path) -> list[Rule]:
    """Every public rule for Windows, in our terms."""
    folders = [path for path in (public_data / "sigma").rglob("*") if path.name in {"windows", "Malware", "Exploits"}]
    folders += [path for path in (public_data / "sigma").glob("rules-*") if path.is_dir()]
    found = {rule.path: rule for rule in load(folders).rules if rule.logsource.product == "windows"}
    return list(found.values())


@pytest.fixture(scope="module")
def made(rules: list[Rule]) -> list[Made]:
    """An event for each rule."""
    raw = {rule.path: rule for rule in load([Path(rule.path) for rule in rules], RAW).rules}
    found = []
    for rule in rules:
        origin = origin_of(rule)
        fields = fields_for(raw[rule.path], origin[3]) if origin else None
        if origin is None or fields is None:
            continue
        system = {
            # Of an event that tells of a cleared log, Channel is that log.
            "channel": origin[0] if rule.logsource.service == "system" else fields.pop("Channel", origin[0]),
            "provider": fields.pop("Provider_Name", origin[1]),
            "id": fields.pop("EventID", origin[2]),
        }
        found.append(Made(rule, system, fields))
    return found


@pytest.fixture(scope="module")
def engine(made: list[Made]) -> Engine:
    """The rules, compiled together."""
    return Engine([each.rule for each in made])


def _events(made: Sequence[Made], shape: str) -> list[Event]:
    items = list(windows.read_events([each.line(shape) for each in made]))
    assert all(isinstance(item, Event) for item in items)
    events = [item for item in items if isinstance(item, Event)]
    for number, event in enumerate(events):
        event.values["time"] = number
    return events


def test_nearly_every_rule_has_its_event(rules: list[Rule], made: list[Made]) -> None:
    """What has none is a log that Windows does not write, or one of a dozen rules that exclude what chance makes."""
    assert len(rules) > 2800
    with_event = {each.rule.path for each in made}
    missing = Counter(str(rule.logsource) for rule in rules if rule.path not in with_event)
    without_log = sum(count for source, count in missing.items() if source in _NO_LOG)
    assert missing.total() - without_log <= _UNMADE, missing


@pytest.mark.parametrize("shape", list(SHAPES))
def test_the_rules_fire_on_their_events(made: list[Made], engine: Engine, shape: str) -> None:
    """In every shape, of every log source at least 95 of 100 rules find the event that is made for them."""
    found: set[tuple[str, int]] = set()
    for frame in frames_of(_events(made, shape)).values():
        times = frame.table.column("time").to_pylist()
        found |= {(rule.path, times[row]) for rule, rows in engine.matches(frame) for row in rows}
    silent = [each.rule for number, each in enumerate(made) if (each.rule.path, number) not in found]
    of_source = Counter(str(each.rule.logsource) for each in made)
    for source, count in Counter(str(rule.logsource) for rule in silent).items():
        assert count <= 0.05 * of_source[source], (source, [rule.path for rule in silent])
    assert len(silent) <= 0.01 * len(made)


def test_the_events_are_valid(made: list[Made]) -> None:
    """One event of each channel and id passes the published schema, and so does every tenth of them all."""
    kinds = {(each.system["channel"], str(each.system["id"])): each for each in made}
    whole = [each._replace(fields=REQUIRED | each.fields) for each in (*kinds.values(), *made[::10])]
    for event in _events(whole, "evtx"):
        assert problems(event) == [], event
