"""Correlations over JSON events as they stand, by a time that is found in the events themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from tocsin.detect.sigma.library import Library
from tocsin.detect.window.collect import Members
from tocsin.detect.window.correlate import firings
from tocsin.detect.window.match import Match
from tocsin.model.errors import InvalidEvent
from tocsin.model.event import Event, Json, Value
from tocsin.normalize.lines import epoch_ms, pick
from tocsin.normalize.objects import as_paths
from tocsin.wiring.at_hand.raw_run import Outcome
from tocsin.wiring.at_hand.told_line import Place, alert_line

__all__ = ["TIME_FIELDS", "RawWindows", "event_ms"]

TIME_FIELDS: Final = ("time", "@timestamp", "timestamp", "EventTime", "UtcTime", "eventTime", "ts")
_SECONDS_BELOW: Final = 10**11  # as milliseconds this is 1973; as seconds it is far off
_BEYOND: Final = 2**52
_ORG: Final = ""
_encode = msgspec.json.Encoder().encode


class RawWindows:
    """Takes the matches that correlations look at; knows in the end what they make of them."""

    def __init__(self, library: Library, time_field: str = "") -> None:
        """The time is in the field of that name; without one, in the first of `TIME_FIELDS` that an event has."""
        self._correlations, self._silent = library.correlations, library.silent
        self._members = Members({_ORG: library.correlations})
        self._rules = {rule.id: rule for rule in library.rules}
        self._fields = (time_field,) if time_field else TIME_FIELDS
        self._places: list[Place] = []
        self._matches: list[Match] = []
        self.without_time = 0  # events

    def add(self, outcome: Outcome) -> None:
        """Take the matches of a block; blocks come in the order of reading."""
        for line, event, rule_ids in outcome.looked_at:
            nested = as_paths(msgspec.json.decode(event.decode(errors="replace")))
            time = event_ms(nested, self._fields)
            if time is None:
                self.without_time += 1
                continue
            self._places.append(Place(_encode(outcome.path), line, event))
            number = len(self._places)
            # As long for every event, so that events of the same time keep the order in which they were read.
            values: dict[str, Value] = {
                "time": time,
                "metadata.uid": f"{number:016}",
                "unmapped.source": _encode(nested).decode(),
            }
            found = Event(0, values)
            for rule_id in rule_ids:
                matches = self._members.matches(self._rules[rule_id], found)
                self._matches += [replace(match, row=number) for match in matches]

    def fired(self) -> Iterator[tuple[str, bytes]]:
        """By the correlation's id, a line of NDJSON for every event of every alert."""
        for firing in firings(self._correlations, self._matches):
            if firing.correlation.id not in self._silent:
                for match in firing.matches:
                    yield firing.correlation.id, alert_line(firing, self._places[match.row - 1])


def event_ms(nested: dict[str, Json], fields: tuple[str, ...]) -> int | None:
    """The time of an event in milliseconds since the epoch, by the first of these fields that it has.

    A time is ISO 8601 text, or a number of seconds or milliseconds since the epoch; nothing else is one.
    """
    stamp = next((found for name in fields if (found := pick(nested, name)) is not None), None)
    if isinstance(stamp, int | float) and not isinstance(stamp, bool):
        known = 0 < stamp < _BEYOND
        return int(stamp * 1000 if stamp < _SECONDS_BELOW else stamp) if known else None
    try:
        return epoch_ms(stamp, "time")
    except (InvalidEvent, OverflowError):
        return None
