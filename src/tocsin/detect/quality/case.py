"""Rule cases: raw audit records beside a rule on which it must fire, and a near miss on which it must not.

Beside `NAME.yml` lie `NAME.fires.log` and `NAME.misses.log`, lines as in audit.log. They go the whole way that live
records go: parsed, reassembled, normalised, encoded, gathered to columns, judged.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.replay import replay
from tocsin.model.event import Event, RefusedLine
from tocsin.model.rule import Rule
from tocsin.normalize.auditd import read_events

__all__ = ["Outcome", "run_cases"]


class Outcome(msgspec.Struct, frozen=True):
    """What a rule did on one of its cases; no problem means what it should."""

    rule: Rule
    case: Path
    findings: int
    problem: str = ""


def run_cases(rule: Rule) -> list[Outcome]:
    """Run a rule on its firing case and its near miss; a missing case is a problem of its own."""
    fires, misses = (Path(rule.path).with_suffix(f".{kind}.log") for kind in ("fires", "misses"))
    return [_run(rule, fires, fire=True), _run(rule, misses, fire=False)]


def _run(rule: Rule, case: Path, *, fire: bool) -> Outcome:
    if not case.is_file():
        return Outcome(rule, case, 0, f"{case.name} is missing")
    with case.open("rb") as lines:
        items = list(read_events(lines))
    refused = [item for item in items if isinstance(item, RefusedLine)]
    events = [item for item in items if isinstance(item, Event)]
    findings = sum(1 for _ in replay(Engine([rule]), events))
    return Outcome(rule, case, findings, _problem(refused, len(events), findings, fire=fire))


def _problem(refused: list[RefusedLine], events: int, findings: int, *, fire: bool) -> str:
    if refused:
        return f"line {refused[0].line} cannot be read: {refused[0].reason}"
    if not events:
        return "there is no event in it"
    if fire and not findings:
        return f"the rule does not fire on any of {events} events"
    return f"the rule fires on {findings} of {events} events" if findings and not fire else ""
