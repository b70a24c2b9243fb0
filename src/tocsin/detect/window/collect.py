"""From rows that rules match to matches of the correlations that look at these rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tocsin.columnar.frame import Frame, events_at
from tocsin.detect.evaluate.texts import record_fields, texts
from tocsin.detect.window.match import Match, counts
from tocsin.detect.window.stored_event import stored_event
from tocsin.model.condition import Field, Scope
from tocsin.model.correlation import Correlation, Lookup, Member
from tocsin.model.event import Event
from tocsin.model.rule import Rule

__all__ = ["Members", "Seen", "matches_of", "progress"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Some matches, and the event that they are of."""

    matches: tuple[Match, ...]
    event: bytes  # as `stored_event` gives it


class Members:
    """Which correlations look at a rule, by org and by the rule's id."""

    def __init__(self, correlations: Mapping[str, Sequence[Correlation]]) -> None:
        self._looking: dict[tuple[str, str], list[tuple[Correlation, Member]]] = {}
        for org, of_org in correlations.items():
            for each in of_org:
                for member in each.members:
                    self._looking.setdefault((org, member.rule), []).append((each, member))
        self._rules = {rule for _, rule in self._looking}

    def __bool__(self) -> bool:
        return bool(self._looking)

    def look_at(self, rule: Rule) -> bool:
        """Does any correlation of any org look at the rule?"""
        return rule.id in self._rules

    def matches(self, rule: Rule, event: Event) -> Iterator[Match]:
        """What the event is to the correlations of its org, the rule having matched it."""
        org = str(event.values.get("metadata.tenant_uid", ""))
        for correlation, member in self._looking.get((org, rule.id), ()):
            value = _texts(event, member.value)
            if counts(correlation, value):
                yield Match(
                    time=int(event.values["time"]),
                    uid=str(event.values.get("metadata.uid", "")),
                    org=org,
                    correlation=correlation.id,
                    member=rule.id,
                    group=_texts(event, member.group_by),
                    value=value,
                    carried=_texts(event, member.carried),
                )


def _texts(event: Event, lookups: Iterable[Lookup]) -> tuple[str, ...]:
    return tuple(_first_text(event, lookup) for lookup in lookups)


def _first_text(event: Event, lookup: Lookup) -> str:
    """The first text of the first field that has one; empty if none has."""
    fields = () if isinstance(lookup, str) else lookup
    return next((text for field in fields for text in _all_texts(event, field)), "")


def _all_texts(event: Event, field: Field) -> Iterator[str]:
    if field.scope is Scope.RECORD:
        for record in event.records:
            yield from texts(event, field, record_fields(record))
    else:
        yield from texts(event, field, None)


def matches_of(members: Members, frame: Frame, matched: Sequence[tuple[Rule, Sequence[int]]]) -> list[Seen]:
    """What the rows that rules match are to correlations; each row is read once."""
    rows = sorted({row for _, of_rule in matched for row in of_rule})
    events = dict(zip(rows, events_at(frame, rows), strict=True)) if rows else {}
    found: dict[int, list[Match]] = {}
    for rule, of_rule in matched:
        for row in of_rule:
            found.setdefault(row, []).extend(members.matches(rule, events[row]))
    return [Seen(tuple(found[row]), stored_event(events[row])) for row in rows if found[row]]


def progress(frames: Iterable[Frame]) -> dict[tuple[str, str], int]:
    """Of every org and origin the time of its newest event."""
    newest: dict[tuple[str, str], int] = {}
    for frame in frames:
        if len(frame):
            for place, time in _newest(frame.table).items():
                newest[place] = max(time, newest.get(place, time))
    return newest


def _newest(table: pa.Table) -> dict[tuple[str, str], int]:
    found = table.select(["metadata.tenant_uid", "device.uid", "time"]).combine_chunks()
    org, origin = (found[name].chunk(0) for name in ("metadata.tenant_uid", "device.uid"))
    orgs, origins = org.dictionary.to_pylist(), origin.dictionary.to_pylist()
    # One code for each pair of codes, so that the newest of all are found in one pass.
    codes = org.indices.to_numpy().astype(np.int64) * len(origins) + origin.indices.to_numpy()
    times = found["time"].to_numpy()
    latest = np.full(len(orgs) * len(origins), -1, np.int64)
    np.maximum.at(latest, codes, times)
    places = np.flatnonzero(latest >= 0).tolist()
    return {(orgs[p // len(origins)], origins[p % len(origins)]): int(latest[p]) for p in places}
