"""Rule cases: events beside a rule on which it must fire, and near misses on which it must not.

Beside `NAME.yml` lie files called `NAME.fires.*` and `NAME.misses.*`. They go the whole way that live events go: read,
normalised, encoded, gathered to columns, judged by an engine of all the rules.

- `.log`: lines as in audit.log; of a rule for sshd, cron, a web server and the like: lines as in that log.
- `.json`, `.ndjson`, `.jsonl`: as the rule's source writes them (CloudTrail, Kubernetes audit, Windows), OCSF if they
  have a class_uid, else objects in the rule's own terms, on whose fields it is tried as they stand (raw).
- Another format is named before the ending: `NAME.fires.cloudtrail.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.replay import raw_events, replay
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.errors import BadInput
from tocsin.model.event import Event, RefusedLine
from tocsin.model.finding import Finding
from tocsin.model.rule import LogSource, Rule
from tocsin.normalize import auditd, cloudtrail, kubernetes, ocsf, syslog, windows

__all__ = ["Outcome", "case_files", "has_cases", "run_all_cases", "run_cases"]

_KINDS: Final = ("fires", "misses")
_TEXT, _OBJECTS = frozenset({".log"}), frozenset({".json", ".ndjson", ".jsonl"})
_RAW: Final = "raw"
_AUDIT: Final = b"msg=audit("

Reader = Callable[[Iterable[bytes]], Iterator[Event | RefusedLine]]
_READERS: Final[dict[str, Reader]] = {
    "auditd": auditd.read_events,
    "cloudtrail": cloudtrail.read_events,
    "k8s-audit": kubernetes.read_events,
    "ocsf": ocsf.read_events,
    "windows": windows.read_events,
    _RAW: raw_events,
}
_SYSLOG: Final = "syslog"


class Outcome(msgspec.Struct, frozen=True):
    """What a rule did on one of its cases; no problem means what it should."""

    rule: Rule
    case: Path
    findings: int
    problem: str = ""
    also: tuple[str, ...] = ()  # ids of other rules that fire on it


def case_files(rule: Rule, kind: str) -> list[Path]:
    """The cases of a rule of one kind, `fires` or `misses`."""
    path = Path(rule.path)
    # A name may hold what glob would take for a pattern.
    begin = f"{path.stem}.{kind}."
    if not path.parent.is_dir():
        return []
    found = (file for file in path.parent.iterdir() if file.name.startswith(begin))
    return sorted(file for file in found if file.suffix in _TEXT | _OBJECTS and file.is_file())


def has_cases(rule: Rule) -> bool:
    """Is there a case on which it must fire?"""
    return bool(case_files(rule, "fires"))


def run_cases(rule: Rule) -> list[Outcome]:
    """Run a rule on its own cases; a missing kind of case is a problem of its own."""
    return run_all_cases([rule])


def run_all_cases(
    rules: Sequence[Rule], progress: Callable[[int, int], None] = lambda _done, _total: None
) -> list[Outcome]:
    """Run rules on their cases, each case by one engine of them all."""
    engines = _Engines(rules)
    outcomes: list[Outcome] = []
    for done, rule in enumerate(rules, 1):
        for kind in _KINDS:
            files = case_files(rule, kind)
            outcomes += [_run(engines, rule, file, kind) for file in files] or [_missing(rule, kind)]
        progress(done, len(rules))
    return outcomes


def _missing(rule: Rule, kind: str) -> Outcome:
    case = Path(rule.path).with_suffix(f".{kind}.log")
    return Outcome(rule, case, 0, f"{case.name} is missing")


class _Engines:
    """One engine of all rules; and of rules in their own terms one each, when a case needs it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._all = Engine(rules)
        self._raw: dict[str, Engine] = {}

    def of(self, rule: Rule, source: str) -> Engine:
        if source != _RAW:
            return self._all
        if rule.id not in self._raw:
            same = [each for each in load([Path(rule.path)], RAW).rules if each.id == rule.id]
            self._raw[rule.id] = Engine(same)
        return self._raw[rule.id]


def _run(engines: _Engines, rule: Rule, case: Path, kind: str) -> Outcome:
    lines = case.read_bytes().splitlines()
    try:
        source = _source(rule.logsource, case, kind, lines)
    except BadInput as error:
        return Outcome(rule, case, 0, str(error))
    read = _READERS[source] if source != _SYSLOG else _syslog(case)
    items = list(read(lines))
    refused = [item for item in items if isinstance(item, RefusedLine)]
    events = [item for item in items if isinstance(item, Event)]
    found = list(replay(engines.of(rule, source), events))
    own = sum(each.rule_id == rule.id for each in found)
    return Outcome(rule, case, own, _problem(refused, len(events), own, kind), _others(rule, found))


def _others(rule: Rule, found: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(sorted({each.rule_id for each in found} - {rule.id}))


def _syslog(case: Path) -> Reader:
    written_ms = int(case.stat().st_mtime * 1000)
    return lambda lines: syslog.read_events(lines, before_ms=written_ms)


def _source(source: LogSource, case: Path, kind: str, lines: Sequence[bytes]) -> str:
    """The format of a case.

    Raises:
        BadInput: its name says one that there is none of.
    """
    named = case.name.partition(f".{kind}.")[2].rpartition(".")[0]
    if named in {*_READERS, _SYSLOG}:
        return named
    # A number tells cases of one kind apart.
    if named and not named.isdigit():
        raise BadInput(f"{case.name}: there is no format {named!r}; there are {', '.join([*_READERS, _SYSLOG])}")
    if case.suffix in _TEXT:
        return _SYSLOG if _written_as_text(source) and not any(_AUDIT in line for line in lines) else "auditd"
    return _of_objects(source, lines)


def _written_as_text(source: LogSource) -> bool:
    if source.product not in {"linux", ""}:
        return False
    return bool(source.service and source.service != "auditd") or source.category == "webserver" or not source.category


def _of_objects(source: LogSource, lines: Sequence[bytes]) -> str:
    if any(b'"class_uid"' in line for line in lines):
        return "ocsf"
    if source.product == "kubernetes":
        return "k8s-audit"
    if source.product == "aws" and source.service == "cloudtrail":
        return "cloudtrail"
    windows_event = any(b'"EventID"' in line or b'"Channel"' in line for line in lines)
    return "windows" if source.product == "windows" and windows_event else _RAW


def _problem(refused: list[RefusedLine], events: int, findings: int, kind: str) -> str:
    if refused:
        return f"line {refused[0].line} cannot be read: {refused[0].reason}"
    if not events:
        return "there is no event in it"
    if kind == "fires" and not findings:
        return f"the rule does not fire on any of {events} events"
    return f"the rule fires on {findings} of {events} events" if findings and kind == "misses" else ""
