"""From firings to findings: an alert of a correlation is made of the events that contributed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from tocsin.detect.evaluate.naive import met
from tocsin.detect.window.match import Firing, Match
from tocsin.detect.window.stored_event import read_event
from tocsin.detect.window.words import asked
from tocsin.model.correlation import Correlation
from tocsin.model.event import Event, nest
from tocsin.model.finding import EVIDENCE_KEPT, Finding, MetTerm
from tocsin.model.rule import Rule

__all__ = ["Known", "findings", "title_of"]

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")

# The rule or correlation of an id, in an org; None if it is gone.
Known = Callable[[str, str], Rule | Correlation | None]


def findings(firings: Iterable[Firing], events: Mapping[int, bytes], known: Known) -> Iterator[Finding]:
    """One finding for each event of each firing; events by the number under which the state keeps them."""
    seen: Counter[tuple[object, ...]] = Counter()
    for firing in firings:
        title, group = title_of(firing), _group(firing)
        for match in firing.matches:
            if match.row in events:
                alert = (*firing.anchor.key, firing.slot)
                seen[alert] += 1
                whole = seen[alert] <= EVIDENCE_KEPT
                yield _finding(firing, title, group, read_event(events[match.row]), match, known, whole=whole)


def title_of(firing: Firing) -> str:
    """The correlation's title template with the values of the group in it; its title if one of them is missing."""
    correlation = firing.correlation
    known = dict(zip(correlation.carried, firing.anchor.carried, strict=True)) | _own_group(firing)
    named = _PLACEHOLDER.findall(correlation.title_template)
    if not named or not all(known.get(name) for name in named):
        return correlation.title
    return _PLACEHOLDER.sub(lambda placeholder: known[placeholder[1]], correlation.title_template)


def _group(firing: Firing) -> dict[str, str]:
    """What the alert is told apart by."""
    return dict(zip(firing.correlation.alert_by, firing.slot[1], strict=False))


def _own_group(firing: Firing) -> dict[str, str]:
    return dict(zip(firing.correlation.group_by, firing.group, strict=True))


def _finding(
    firing: Firing,
    title: str,
    group: dict[str, str],
    event: Event,
    match: Match,
    known: Known,
    *,
    whole: bool,
) -> Finding:
    correlation, values = firing.correlation, event.values
    return Finding(
        org=firing.org,
        rule_id=correlation.id,
        rule_title=correlation.title,
        title=title,
        level=correlation.level,
        tags=correlation.tags,
        origin=str(values.get("device.uid", "")),
        hostname=str(values.get("device.hostname", "")),
        event_uid=match.uid,
        class_uid=event.class_uid,
        time=match.time,
        group=group,
        window_ms=correlation.window_ms or correlation.timespan_ms,
        met=tuple(_met(firing, match, event, known)) if whole else (),
        event=nest(event) if whole else {},
        fired_at=firing.slot[0],
    )


def _met(firing: Firing, match: Match, event: Event, known: Known) -> Iterator[MetTerm]:
    """Why the event is part of it: its rule, its value, its group; and why its rule matched."""
    correlation = firing.correlation
    looking, member = known(firing.org, match.correlation), known(firing.org, match.member)
    if isinstance(looking, Correlation):
        yield MetTerm(member.title if member else match.member, asked(looking), ", ".join(match.value) or "matched")
    if match.correlation != correlation.id:
        yield MetTerm(looking.title if looking else match.correlation, asked(correlation), "fired")
    for name, value in _own_group(firing).items():
        yield MetTerm(name, "the same in all", value or "(none)")
    if isinstance(member, Rule):
        yield from met(member.condition, event)
