"""A Query over a list of events, judged by the reference evaluator: for tests of what shows events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsin.detect.naive import holds
from tocsin.model.event import Event
from tocsin.model.schema import RECORDS
from tocsin.ports import Selection


class EventsInMemory:
    """Events of one org; the rows are those that any Query gives."""

    def __init__(self, org: str, events: Iterable[Event]) -> None:
        self._org, self._events = org, list(events)

    def add(self, events: Iterable[Event]) -> None:
        """Keep more events."""
        self._events += events

    def events(self, selection: Selection) -> list[dict[str, object]]:
        """Matching events as flat rows, ordered by time."""
        found = sorted(self._matching(selection), key=_time, reverse=selection.newest_first)
        return [_row(event) for event in found[: selection.limit]]

    def count(self, selection: Selection) -> int:
        """How many events match."""
        return sum(1 for _ in self._matching(selection))

    def histogram(self, selection: Selection, bins: int) -> list[tuple[int, int]]:
        """Matching events per equal span."""
        length = selection.until - selection.since
        counted = [0] * bins
        for event in self._matching(selection):
            counted[(_time(event) - selection.since) * bins // length] += 1
        return [(selection.since + length * n // bins, count) for n, count in enumerate(counted)]

    def by_uid(self, org: str, uids: Sequence[str]) -> list[dict[str, object]]:
        """Events by their ids."""
        return [_row(event) for event in self._events if org == self._org and event.values["metadata.uid"] in uids]

    def _matching(self, selection: Selection) -> Iterable[Event]:
        for event in self._events:
            if selection.org != self._org or not selection.since <= _time(event) < selection.until:
                continue
            if selection.class_uids and event.class_uid not in selection.class_uids:
                continue
            if selection.condition is None or holds(selection.condition, event):
                yield event


def _time(event: Event) -> int:
    return int(event.values["time"])


def _row(event: Event) -> dict[str, object]:
    records = [{"type": r.type, "fields": dict(zip(r.keys, r.values, strict=True))} for r in event.records]
    return {"class_uid": event.class_uid, **event.values, **({RECORDS: records} if records else {})}
