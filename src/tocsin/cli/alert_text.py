"""One alert as text: what happened, why the rule fired, who started it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from tocsin.model.event import Json

if TYPE_CHECKING:
    from tocsin.alert.read import Alert, Evidence
    from tocsin.model.finding import MetTerm
    from tocsin.model.rule import Rule
    from tocsin.state.life.suppressions import Suppression

__all__ = ["alert_lines", "date_and_time", "short_time"]

_PROCESS_ACTIVITY, _INIT = 1007, 1
_THEN = " \u203a "
_LONGEST = 400  # characters of one value; all of it is in the JSON


class _Step(msgspec.Struct, frozen=True):
    """One process on the way to the event."""

    name: str
    pid: int
    user: str
    cmd_line: str


class _Block(msgspec.Struct):
    """Events that look the same: one chain of processes and one reason."""

    chain: list[_Step]
    met: list[MetTerm]
    first: int
    last: int
    events: int = 0


def alert_lines(
    alert: Alert, evidence: Sequence[Evidence], rule: Rule | None, hider: Suppression | None = None
) -> Iterator[str]:
    """The alert line by line; whatever came from a host is made harmless for a terminal."""
    yield f"{alert.level}   {_shown(alert.title)}"
    yield f"  host     {_shown(alert.hostname or alert.origin)}"
    yield f"  rule     {_shown(alert.rule_title)}  ({_shown(alert.rule_id)})"
    yield f"  status   {_status(alert)}"
    if hider is not None:
        who = f"suppression {hider.id} of {_shown(hider.owner)} until {date_and_time(hider.expires_at)} UTC"
        yield f"  hidden   by {who}: {_shown(hider.reason)}"
    yield f"  seen     {_times(alert.event_count, alert.first_event_at, alert.last_event_at)}"
    yield f"  id       {alert.id}"
    for block in _blocks(evidence):
        yield ""
        yield from _block_lines(block)
    if evidence and alert.event_count > len(evidence):
        yield ""
        yield f"  {alert.event_count - len(evidence)} more events: `tocsin search` finds them"
    if rule is not None:
        yield from _advice(rule)


def _status(alert: Alert) -> str:
    who = f" by {_shown(alert.assignee)}" if alert.assignee else ""
    return f"{alert.status}{who}" + (f": {_shown(alert.closed_reason)}" if alert.closed_reason else "")


def _times(count: int, first: int, last: int) -> str:
    events = f"{count} event{'' if count == 1 else 's'}"
    until = f" to {date_and_time(last)}" if date_and_time(last) != date_and_time(first) else ""
    return f"{events}, {date_and_time(first)}{until} UTC"


def _block_lines(block: _Block) -> Iterator[str]:
    yield f"  {_times(block.events, block.first, block.last)}"
    if block.chain:
        yield f"  {_THEN.join(_shown(step.name) for step in block.chain)}"
    for met in block.met:
        yield f"    why  {_shown(met.field)} = {_shown(met.value)}"
        yield f"         the rule asks {_shown(met.term)}"
    widest = max((len(step.name) for step in block.chain), default=0)
    for step in block.chain:
        user = step.user or "-"
        yield f"    {step.pid:>8}  {_shown(user):<10}  {_shown(step.name):<{widest}}  {_shown(step.cmd_line)}".rstrip()


def _advice(rule: Rule) -> Iterator[str]:
    parts = (("what it means", rule.description), ("what to do", rule.response))
    for heading, said in parts:
        if said.strip():
            yield ""
            yield f"  {heading}"
            yield from (f"    {_shown(line.strip())}" for line in said.strip().splitlines())
    if rule.false_positives:
        yield ""
        yield f"  harmless if   {_shown('; '.join(rule.false_positives))}"


def _blocks(evidence: Sequence[Evidence]) -> list[_Block]:
    blocks: dict[bytes, _Block] = {}
    for item in evidence:
        chain = _chain(item.event)
        look = msgspec.json.encode(([(step.name, step.user, step.cmd_line) for step in chain], item.met))
        block = blocks.setdefault(look, _Block(chain, item.met, item.time, item.time))
        block.events += 1
        block.last = max(block.last, item.time)
    return list(blocks.values())


def _chain(event: Mapping[str, Json]) -> list[_Step]:
    """From the first ancestor below init to the process that did it; a fork of the same program counts once."""
    subject = event.get("process") if event.get("class_uid") == _PROCESS_ACTIVITY else _at(event, "actor", "process")
    if not isinstance(subject, dict):
        return []
    ancestry, parent = subject.get("ancestry"), subject.get("parent_process")
    above = ancestry if isinstance(ancestry, list) and ancestry else [parent]
    said = [one for one in (subject, *above) if isinstance(one, dict) and one.get("pid") != _INIT]
    steps = [_step(one) for one in reversed(said)]
    return [step for step, below in zip(steps, [*steps[1:], None], strict=True) if not _same_program(step, below)]


def _same_program(step: _Step, below: _Step | None) -> bool:
    return below is not None and (step.name, step.user, step.cmd_line) == (below.name, below.user, below.cmd_line)


def _step(said: Mapping[str, Json]) -> _Step:
    pid, path = said.get("pid"), said.get("path") or _at(said, "file", "path")
    return _Step(
        name=_text(said.get("name")) or _text(path).rpartition("/")[2] or "?",
        pid=pid if isinstance(pid, int) else 0,
        user=_text(_at(said, "user", "name")) or _text(_at(said, "user", "uid")),
        cmd_line=_text(said.get("cmd_line")) or _text(path),
    )


def _at(said: Mapping[str, Json], outer: str, inner: str) -> Json:
    place = said.get(outer)
    return place.get(inner) if isinstance(place, dict) else None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _shown(text: str) -> str:
    """Without what a terminal would obey: an intruder chooses command lines."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in cut)


def date_and_time(time_ms: int) -> str:
    """The date with its year, and the time, in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def short_time(time_ms: int, now_ms: int) -> str:
    """The same without the year where it is this one."""
    whole = date_and_time(time_ms)
    return whole.removeprefix(date_and_time(now_ms)[:5])
