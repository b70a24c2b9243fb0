"""Rules and correlations over normalised events that are at hand: what a server that read them would have told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from tocsin.columnar.frame import Frame, events_at
from tocsin.detect.evaluate.engine import Engine, fill_title
from tocsin.detect.history.replay import frames_of
from tocsin.detect.sigma.library import Library
from tocsin.detect.window.collect import Members, matches_of
from tocsin.detect.window.correlate import firings
from tocsin.detect.window.match import Match
from tocsin.detect.window.stored_event import read_event
from tocsin.model.event import Event, nest
from tocsin.model.rule import Rule
from tocsin.wiring.at_hand.told_line import Place, alert_line, match_line, rule_part

__all__ = ["run"]

_ORG = "local"
_encode = msgspec.json.Encoder().encode


def run(library: Library, batches: Iterable[tuple[str, list[Event]]]) -> Iterator[bytes]:
    """The matches of rules, a batch of a file at a time, then those of correlations, each as a line of NDJSON.

    Rules that are only there for correlations have no matches of their own.
    """
    running = _Run(library)
    for number, (file, events) in enumerate(batches):
        yield from running.judge(_encode(file), frames_of(events, org=_ORG, origin=_ORG, sequence=number))
    yield from running.fired()


class _Run:
    """Rules, and the matches that correlations look at with their events."""

    def __init__(self, library: Library) -> None:
        self._library, self._engine = library, Engine(library.rules)
        self._said = {rule.id: rule_part(rule) for rule in library.rules}
        self._members = Members({_ORG: library.correlations})
        self._numbers: dict[str, int] = {}  # by the event's id
        self._matches: list[Match] = []
        self._stored: dict[int, tuple[bytes, bytes]] = {}  # file and event

    def judge(self, file: bytes, frames: Mapping[int, Frame]) -> Iterator[bytes]:
        """The lines of the matches in one batch, in the order of its events."""
        for frame in frames.values():
            matched = list(self._engine.matches(frame))
            self._keep(file, frame, [found for found in matched if self._members.look_at(found[0])])
            told = sorted(
                ((row, rule) for rule, rows in matched if rule.id not in self._library.silent for row in rows),
                key=lambda found: found[0],
            )
            rows = list(dict.fromkeys(row for row, _ in told))
            events = dict(zip(rows, events_at(frame, rows), strict=True)) if rows else {}
            for row, rule in told:
                yield self._line(rule, events[row], file)

    def _line(self, rule: Rule, event: Event, file: bytes) -> bytes:
        title = fill_title(rule, event) if rule.title_template else ""
        return match_line(self._said[rule.id], Place(file, 0, _encode(nest(event))), title)

    def _keep(self, file: bytes, frame: Frame, looked_at: list[tuple[Rule, list[int]]]) -> None:
        for seen in matches_of(self._members, frame, looked_at) if looked_at else ():
            number = self._numbers.setdefault(seen.matches[0].uid, len(self._numbers) + 1)
            self._stored[number] = (file, seen.event)
            self._matches += [replace(match, row=number) for match in seen.matches]

    def fired(self) -> Iterator[bytes]:
        """A line for every event of every alert of a correlation."""
        for firing in firings(self._library.correlations, self._matches):
            if firing.correlation.id not in self._library.silent:
                for match in firing.matches:
                    file, stored = self._stored[match.row]
                    yield alert_line(firing, Place(file, 0, _encode(nest(read_event(stored)))))
