"""Public rules for text logs fire on lines made for them, the whole way from the line to the engine."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from event_frames import frames_of
from rule_events import Draft, satisfy
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.rule import Rule
from tocsin.normalize.syslog import read_events
from windows_events import flat

pytestmark = pytest.mark.data

_PROGRAMS = {"guacamole": "guacd", "syslog": "systemd", "auth": "pkexec", "": "bash", "apache": "apache2"}
_WRITTEN = 1_767_400_000_000


def _line(rule: Rule, raw: Rule, chance: random.Random) -> bytes:
    """A line of the log that the rule is written for, with what it asks for."""
    draft = Draft()
    satisfy(flat(raw.condition), chance.randrange, draft)
    return (_access_line if rule.logsource.category == "webserver" else _syslog_line)(rule, draft.attributes, chance)


def _syslog_line(rule: Rule, texts: dict[str, str], chance: random.Random) -> bytes:
    del chance
    program = _PROGRAMS.get(rule.logsource.service, rule.logsource.service)
    sudo = f"bob : TTY=pts/0 ; PWD=/tmp ; USER={texts.get('USER', 'root')} ; COMMAND=/bin/sh"
    return f"Jan  2 03:04:05 web1 {program}[7]: {texts.get('message', sudo)}".replace("\n", " ").encode()


def _access_line(rule: Rule, texts: dict[str, str], chance: random.Random) -> bytes:
    del rule
    path = texts.get("cs-uri-stem", texts.get("c-uri", "/x"))
    query = texts.get("cs-uri-query", texts.get("c-uri-query", ""))
    target = query if query.startswith("/") else f"{path}?{query}" if query else path
    target += texts.get("message", "")
    method, status = texts.get("cs-method", "GET").upper(), re.sub(r"\D", "", texts.get("sc-status", "200"))
    referrer, agent = texts.get("cs-referer", "-"), texts.get("cs-user-agent", chance.choice(["-", "curl/8"]))
    quoted = [part.replace('"', '\\"') for part in (f"{method} {target} HTTP/1.1", referrer, agent)]
    head = f"10.0.0.1 - {texts.get('cs-username', '-')} [02/Jan/2026:03:04:05 +0000]"
    return f'{head} "{quoted[0]}" {status} 12 "{quoted[1]}" "{quoted[2]}"'.encode()


@pytest.mark.parametrize(
    ("chosen", "at_least"),
    [
        (lambda source: source.category == "webserver", 0.95),
        (lambda source: source.product == "linux" and not source.category and source.service != "auditd", 1.0),
        (lambda source: source.service in {"apache", "nginx"}, 1.0),
    ],
    ids=["webserver", "linux", "error-logs"],
)
def test_rules_fire_on_lines_made_for_them(public_data: Path, chosen: Callable[..., bool], at_least: float) -> None:
    """Of each kind of log nearly every rule finds its line among twenty that are made for it."""
    folders = [public_data / "sigma" / name for name in ("rules/linux", "rules/web", "rules-emerging-threats")]
    rules = [rule for rule in load(folders).rules if chosen(rule.logsource)]
    raws = {rule.path: rule for rule in load([Path(rule.path) for rule in rules], RAW).rules}
    chance = random.Random(5)  # noqa: S311 - reproducible lines, no secrets
    tried = [rule for rule in rules for _ in range(20)]
    lines = [_line(rule, raws[rule.path], chance) for rule in tried]
    events = list(read_events(lines, before_ms=_WRITTEN))
    for number, event in enumerate(events):
        event.values["time"] = number
    found: set[str] = set()
    for frame in frames_of(events).values():
        times = frame.table.column("time").to_pylist()
        for rule, rows in Engine(rules).matches(frame):
            found |= {rule.path for row in rows if tried[times[row]] is rule}
    silent = Counter(rule.path for rule in rules if rule.path not in found)
    assert rules
    assert len(found) >= at_least * len(rules), silent
