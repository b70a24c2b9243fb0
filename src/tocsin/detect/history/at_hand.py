"""Rules and correlations over events that are at hand: what a server that read them would have told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from tocsin.columnar.frame import Frame
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.replay import replay
from tocsin.detect.sigma.library import Library
from tocsin.detect.window.collect import Members, matches_of
from tocsin.detect.window.correlate import firings
from tocsin.detect.window.match import Match
from tocsin.detect.window.tell import findings
from tocsin.model.correlation import Correlation
from tocsin.model.event import Event
from tocsin.model.finding import Finding
from tocsin.model.rule import Rule

__all__ = ["found_in"]


def found_in(library: Library, events: Iterable[Event], *, org: str = "local") -> Iterator[Finding]:
    """The findings of rules, a batch at a time, and then those of correlations, one for each event of an alert.

    Rules that are only there for correlations have no findings of their own.
    """
    collected = _Collected(library, org)
    yield from replay(Engine(library.rules), events, org=org, placed=collected.told)
    every: list[Rule | Correlation] = [*library.correlations, *library.rules]
    known = {each.id: each for each in every}
    fired = firings(library.correlations, collected.matches)
    told = [each for each in fired if each.correlation.id not in library.silent]
    yield from findings(told, collected.events, lambda _, key: known.get(key))


class _Collected:
    """The matches of the rules that correlations look at, and the events that they are of."""

    def __init__(self, library: Library, org: str) -> None:
        self._members = Members({org: library.correlations})
        self._silent = library.silent
        self._numbers: dict[str, int] = {}  # by the event's id
        self.matches: list[Match] = []
        self.events: dict[int, bytes] = {}

    def told(self, rule: Rule, frame: Frame, rows: list[int]) -> list[int]:
        """Keep what correlations look at; the rows of which the rule tells by itself."""
        if self._members.look_at(rule):
            for seen in matches_of(self._members, frame, [(rule, rows)]):
                number = self._numbers.setdefault(seen.matches[0].uid, len(self._numbers) + 1)
                self.events[number] = seen.event
                self.matches += [replace(match, row=number) for match in seen.matches]
        return [] if rule.id in self._silent else rows
