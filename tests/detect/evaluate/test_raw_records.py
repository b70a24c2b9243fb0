"""Public Linux rules fire on raw audit records made for them, through the real path from line to match."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from audit_lines import Log, call, path
from event_frames import frames_of
from rule_events import Draft, satisfy
from tocsin.detect.evaluate.engine import Engine
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.normalize.auditd import read_events

_ATTEMPTS = 6
_MEASURED = {"process_creation", "file_event", "network_connection"}
_PARENT, _CHILD = "1000", "1001"


def _measured(rules: list[Rule]) -> list[Rule]:
    linux = [rule for rule in rules if rule.logsource.product == "linux"]
    return [rule for rule in linux if rule.logsource.category in _MEASURED or rule.logsource.service == "auditd"]


def _write(log: Log, rule: Rule, draft: Draft, pids: Iterator[int]) -> int:
    """The audit lines of what the rule asks for; gives the time of the event that should match."""
    wanted = draft.attributes
    if rule.logsource.service == "auditd":
        return log.event(*_records(draft))
    ids = {"pid": str(next(pids)), "ppid": str(next(pids)), "uid": "0"}
    if rule.logsource.category == "file_event":
        name = wanted.get("file.path") or wanted.get("file_result.path", "/tmp/file")  # noqa: S108 - a name, no file
        return log.create(name, wanted.get("actor.process.file.path", "/usr/bin/touch"), **ids)
    if rule.logsource.category == "network_connection":
        port = int(wanted.get("dst_endpoint.port", "443"))
        exe = wanted.get("actor.process.file.path", "/usr/bin/curl")
        return log.connect(wanted.get("dst_endpoint.ip", "203.0.113.9"), port, exe, **ids)
    above = "process.parent_process."
    if any(key.startswith(above) for key in wanted):
        arguments = wanted.get(f"{above}cmd_line", "parent").split(" ")
        log.launch(wanted.get(f"{above}file.path", "/usr/bin/parent"), arguments, pid=ids["ppid"], ppid="1", uid="0")
    exe = wanted.get("process.file.path", "/usr/bin/program")
    folder = wanted.get("process.working_directory", "/root")
    return log.launch(exe, wanted.get("process.cmd_line", exe).split(" "), cwd=folder, **ids)


def _records(draft: Draft) -> list[tuple[str, dict[str, str]]]:
    """The draft's records as one event: one SYSCALL, one EXECVE, any number of others."""
    merged: dict[str, dict[str, str]] = {}
    others: list[tuple[str, dict[str, str]]] = []
    for record in draft.records:
        fields = {key: value for key, value in record.items() if key != "type"}
        kind = record.get("type", _kind_of(fields)).upper()
        if kind == "EXECVE":
            _add_arguments(merged.setdefault(kind, {}), fields)
        elif kind == "SYSCALL":
            merged.setdefault(kind, {}).update(fields)
        else:
            others.append((kind, path("/etc/file", "NORMAL") | fields if kind == "PATH" else fields))
    if others and all(kind.startswith(("SERVICE_", "USER_", "ADD_", "DEL_")) for kind, _ in others) and not merged:
        return others
    kernel = [("SYSCALL", call("59", "/usr/bin/program") | merged.get("SYSCALL", {}))]
    if "EXECVE" in merged:
        kernel.append(("EXECVE", _execve(merged["EXECVE"])))
    return kernel + others


def _add_arguments(arguments: dict[str, str], fields: dict[str, str]) -> None:
    """A program starts with one list of arguments: what one selection asks for must not displace another's."""
    for key, value in fields.items():
        free = key if key not in arguments else f"a{max(int(name[1:]) for name in arguments) + 1}"
        arguments[free] = value


def _kind_of(fields: dict[str, str]) -> str:
    return "EXECVE" if all(re.fullmatch(r"a\d+", key) for key in fields) else "SYSCALL"


def _execve(fields: dict[str, str]) -> dict[str, str]:
    last = max((int(key[1:]) for key in fields), default=0)
    return {"argc": str(last + 1), **{f"a{n}": fields.get(f"a{n}", "argument") for n in range(last + 1)}}


@pytest.mark.data
def test_linux_rules_fire_on_raw_records(sigma_rules: list[Rule], capsys: pytest.CaptureFixture[str]) -> None:
    """At least 95 % of the rules on processes, files, connections and auditd; the others are printed."""
    rules = _measured(sigma_rules)
    log, pids = Log(), iter(range(1000, 10**6))
    made: dict[int, Rule] = {}
    for seed in range(_ATTEMPTS):
        chance = random.Random(seed)  # noqa: S311 - reproducible events, no secrets
        for rule in rules:
            draft = Draft()
            satisfy(rule.condition, chance.randrange, draft)
            made[_write(log, rule, draft, pids)] = rule
    events = list(read_events(log.lines, hostname="host"))
    assert all(isinstance(event, Event) for event in events)
    fired = _fired(rules, [event for event in events if isinstance(event, Event)], made)
    silent = [rule for rule in rules if rule.path not in fired]
    with capsys.disabled():
        print(f"\n{len(fired)} of {len(rules)} Linux rules fired on raw audit records; silent:")  # noqa: T201 - asked for
        for rule in silent:
            print(f"  {rule.title} ({rule.path.rpartition('/')[2]})")  # noqa: T201
    assert len(fired) >= 0.95 * len(rules)


def _fired(rules: list[Rule], events: list[Event], made: dict[int, Rule]) -> set[str]:
    engine = Engine(rules)
    found = set()
    for frame in frames_of(events).values():
        times = frame.table.column("time").to_pylist()
        for rule, rows in engine.matches(frame):
            if any(made.get(times[row]) is rule for row in rows):
                found.add(rule.path)
    return found
