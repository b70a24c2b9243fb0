"""All public rules of all products: the masks find what the reference finds, whatever the engine has seen before.

Briefly by a sample of the rules; with TOCSIN_LONG by all of them, as `make prove` does.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from evaluators import Matches, matches_of, naive_matches
from event_frames import frames_of
from rule_events import made_for
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.evaluate.raw import RawRules
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW, Mapping
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.normalize import cloudtrail
from tocsin.normalize.auditd import read_events

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.timeout(3600)]
_LONG = bool(os.environ.get("TOCSIN_LONG"))
_AT_ONCE = 400  # rules, each with events made for it
_RECORDED = 100_000 if _LONG else 300  # events of each log
_SIZES = (1, 7, 256, 4096) if _LONG else (7, 256)


def _parts(rules: Sequence[Rule], chance: random.Random) -> Iterator[list[Rule]]:
    """The rules in parts, all of them together or the first."""
    shuffled = chance.sample(rules, len(rules))
    yield from (shuffled[start : start + _AT_ONCE] for start in range(0, len(rules) if _LONG else 1, _AT_ONCE))


def _found(engine: Engine, made: Sequence[Event], size: int) -> Matches:
    batches = (made[start : start + size] for start in range(0, len(made), size))
    return set().union(*(matches_of(engine, frames_of(batch)) for batch in batches))


@pytest.fixture(scope="module")
def public(public_data: Path) -> dict[bool, tuple[Rule, ...]]:
    """The public rules by their log sources' mappings (False), and on fields as they stand (True)."""

    def loaded(mapping: Mapping | None) -> tuple[Rule, ...]:
        return load([public_data / "sigma"], mapping).rules

    return {False: loaded(None), True: loaded(RAW)}


@pytest.mark.parametrize("raw", [False, True])
def test_made_events_at_any_size_and_state(public: dict[bool, tuple[Rule, ...]], *, raw: bool) -> None:
    """A fresh engine, one that has learned, one that took over from another: the same pairs at every size of batch."""
    chance = random.Random(3)  # noqa: S311 - reproducible events, no secrets
    for rules in _parts(public[raw], chance):
        _agree(rules, [made_for(rule, chance, time) for time, rule in enumerate(rules * 2)], chance)


def _agree(rules: list[Rule], made: list[Event], chance: random.Random) -> None:
    expected = naive_matches(rules, frames_of(made))
    assert len({path for path, _ in expected}) > 0.85 * len(rules)
    engine = Engine(rules)
    for size in _SIZES:
        assert _found(Engine(rules), made, size) == expected
        assert _found(engine, made, size) == expected
    shuffled = chance.sample(made, len(made))
    assert _found(engine, shuffled, 64) == expected
    fewer = rules[: len(rules) // 2]
    heir = Engine(fewer, like=engine)
    kept = {rule.path for rule in fewer}
    assert _found(heir, shuffled, 256) == {(path, time) for path, time in expected if path in kept}
    assert _found(Engine(rules, like=heir), made, 256) == expected


def test_lines_as_they_stand(public: dict[bool, tuple[Rule, ...]]) -> None:
    """`rules run --source raw` reads lines into columns by itself: it finds what the reference finds in the JSON."""
    chance = random.Random(4)  # noqa: S311 - reproducible events, no secrets
    for rules in _parts(public[True], chance):
        _agree_on_lines(rules, [made_for(rule, chance, time) for time, rule in enumerate(rules * 2)])


def _agree_on_lines(rules: list[Rule], made: list[Event]) -> None:
    sources = [str(event.values.get("unmapped.source", "{}")) for event in made]
    expected = {
        (rule.path, at)
        for at, source in enumerate(sources)
        for rule in rules
        if holds(rule.condition, Event(0, {"time": at, "unmapped.source": source}))
    }
    judge = RawRules(rules).judge
    for size in _SIZES:
        found = {
            (rule.path, start + line)
            for start in range(0, len(sources), size)
            for line, rule in judge([source.encode() for source in sources[start : start + size]]).matches
        }
        assert found == expected


def _audit_events(folder: Path) -> Iterator[Event]:
    for log in sorted((folder / "otrf").rglob("*.log")):
        with log.open("rb") as lines:
            yield from (item for item in read_events(lines) if isinstance(item, Event))


def _cloud_events(folder: Path) -> Iterator[Event]:
    for line in (folder / "stratus" / "detonations.jsonl").read_bytes().splitlines():
        for original in msgspec.json.decode(line)["events"]:
            item = cloudtrail.normalize(original)
            if isinstance(item, Event):
                yield item


@pytest.mark.parametrize("kind", ["audit", "cloudtrail"])
def test_recorded_events(public: dict[bool, tuple[Rule, ...]], public_data: Path, kind: str) -> None:
    """Logs of real attacks, by all rules of all products at once."""
    read = _audit_events if kind == "audit" else _cloud_events
    made = list(read(public_data / kind))[:_RECORDED]
    for time, event in enumerate(made):
        event.values["time"] = time
    rules = public[False]
    expected = naive_matches(rules, frames_of(made))
    assert expected
    engine = Engine(rules)
    for size in _SIZES:
        assert _found(engine, made, size) == expected


def test_recorded_events_as_they_stand(public: dict[bool, tuple[Rule, ...]], public_data: Path) -> None:
    """CloudTrail's own JSON, by its own rules."""
    rules = [rule for rule in public[True] if rule.logsource.product == "aws"]
    lines = (public_data / "cloudtrail" / "stratus" / "detonations.jsonl").read_bytes().splitlines()
    sources = [json.dumps(event) for line in lines for event in msgspec.json.decode(line)["events"]][:_RECORDED]
    expected = {
        (rule.path, at)
        for at, source in enumerate(sources)
        for rule in rules
        if holds(rule.condition, Event(0, {"time": at, "unmapped.source": source}))
    }
    found = RawRules(rules).judge([source.encode() for source in sources]).matches
    assert {(rule.path, line) for line, rule in found} == expected != set()
