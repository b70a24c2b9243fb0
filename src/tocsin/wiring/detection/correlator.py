"""The correlator: matches of members from the state, windows in memory, alerts and what was told back into the state.

The windows are a view of rows: whatever a step lets go of, has told, or has passed on is written in one transaction
with its alerts and its position, so that a correlator that starts again is where the last one was.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

import sqlalchemy as sa
import structlog

from tocsin import metrics
from tocsin.config import Settings
from tocsin.detect.window import store
from tocsin.detect.window.groups import Limits
from tocsin.detect.window.match import Firing, Match
from tocsin.detect.window.tell import findings
from tocsin.detect.window.watermark import Patience, Sources
from tocsin.detect.window.windows import Step, Windows
from tocsin.model.correlation import Correlation
from tocsin.model.rule import Rule
from tocsin.ports import Clock, LakePosition
from tocsin.state.engine import reading
from tocsin.state.life.hits import HOUR_MS, Hits
from tocsin.state.position import claim, commit_position, read_offsets
from tocsin.wiring.detection.correlating import correlating
from tocsin.wiring.detection.verdict import count, keep, silenced_alone
from tocsin.wiring.names import CORRELATOR
from tocsin.wiring.processes.part import Part
from tocsin.wiring.rules.live import LiveRules, RuleSet

__all__ = ["Correlator", "correlator_part"]

_log = structlog.get_logger(__name__)
_FORGET_EVERY_MS = 5_000
_LOOK_EVERY_MS = 500
_RETRY_S = 1.0


def correlator_part(settings: Settings, engine: sa.Engine, live: LiveRules, clock: Clock) -> Part:
    """The thread that correlates, beside the detector whose rules it shares."""
    return Part(CORRELATOR, Correlator(settings, engine, live, clock).run)


class Correlator:
    """One owner of all shares of the groups."""

    def __init__(self, settings: Settings, engine: sa.Engine, live: LiveRules, clock: Clock) -> None:
        """Claim the shares, and be where the last owner was."""
        self._engine, self._live, self._clock = engine, live, clock
        self._poll_s = settings.poll_s
        self._limits = Limits(settings.correlation_matches_per_group, settings.correlation_matches)
        self._patience = Patience(
            round(1000 * settings.correlation_lateness_s), round(1000 * settings.correlation_idle_s)
        )
        with engine.begin() as connection:
            self._generation = claim(connection, CORRELATOR, range(store.SHARES), clock.now_ms())
        self._rules = live.current
        self._open()

    def _open(self) -> None:
        """Read what the state keeps."""
        self._correlating = correlating(self._rules.placement)
        self._windows = {org: Windows(each, self._limits) for org, each in self._correlating.of_org.items() if each}
        self._sources = Sources(self._patience)
        self._heard = self._looked_at = self._forgot_at = 0
        with self._engine.begin() as connection:
            store.forget_others(connection, self._correlating.versions)
        with reading(self._engine) as connection:
            self._number = min(read_offsets(connection, CORRELATOR).values(), default=0)
            matches = list(store.kept_matches(connection, self._number, self._correlating.versions))
            told = store.kept_told(connection, self._correlating.versions)
            watermarks = store.kept_watermarks(connection)
        for org, windows in self._windows.items():
            windows.restore(
                (match for match in matches if match.org == org),
                {place: spans for place, spans in told.items() if place[0][0] == org},
                {org: watermarks[org]} if org in watermarks else {},
            )
        self._measure()

    def run(self, stop: threading.Event) -> None:
        """Go on until told to stop.

        Raises:
            Fenced: a newer owner has taken over.
        """
        _log.info("consumer started", consumer=CORRELATOR, number=self._number, matches=self._held()[1])
        while not stop.is_set():
            try:
                busy = self.step()
            except sa.exc.OperationalError as error:
                _log.warning("consumer waits", consumer=CORRELATOR, reason=str(error.orig), retry_s=_RETRY_S)
                stop.wait(_RETRY_S)
                # The windows have gone ahead of what was written.
                self._open()
            else:
                if not busy:
                    stop.wait(self._poll_s)
        _log.info("consumer stopped", consumer=CORRELATOR, number=self._number)

    def step(self) -> bool:
        """Look for new matches, and tell what follows; gives whether there may be more at once."""
        rules, now = self._live.current, self._clock.now_ms()
        if rules is not self._rules:
            self._renew(rules)
        if not self._windows:
            return False
        with reading(self._engine) as connection:
            until = store.head(connection)
            if until == self._number and now - self._looked_at < _LOOK_EVERY_MS:
                return False
            arrived = store.read_after(connection, self._number, self._heard, self._correlating.versions)
        if self._live.current is not rules:
            # What was written meanwhile may be meant for correlations that are not looked at here yet.
            return True
        self._looked_at = now
        for (org, origin), source in arrived.sources.items():
            self._sources.hear(org, origin, source)
        self._heard = arrived.head if arrived.sources else self._heard
        self._take(arrived, now, whole=arrived.head == until)
        return arrived.head < until

    def _renew(self, rules: RuleSet) -> None:
        before, self._rules = self._correlating.of_org, rules
        if correlating(rules.placement).of_org != before:
            _log.info("correlations exchanged", consumer=CORRELATOR)
            self._open()

    def _take(self, arrived: store.Arrived, now: int, *, whole: bool) -> None:
        watermarks = self._sources.watermarks(now) if whole else {}
        steps = {
            org: windows.step(
                (match for match in arrived.matches if match.org == org),
                {org: watermarks[org]} if org in watermarks else {},
            )
            for org, windows in self._windows.items()
        }
        forgetting = whole and now - self._forgot_at >= _FORGET_EVERY_MS
        horizons: dict[tuple[str, str], int] = {}
        if forgetting:
            self._forgot_at = now
            for windows in self._windows.values():
                horizons |= windows.forget(watermarks)
        if forgetting or not all(step.empty for step in steps.values()):
            self._write(list(steps.values()), horizons, arrived.head, now)
        self._number = arrived.head
        self._measure()

    def _write(self, steps: list[Step], horizons: dict[tuple[str, str], int], number: int, now: int) -> None:
        every = [firing for step in steps for firing in step.firings]
        firings = [firing for firing in every if not self._is_silent(firing)]
        found = silenced_alone(self._rules, list(findings(firings, self._events(firings), self._known)))
        versions = self._correlating.versions
        with self._engine.begin() as connection:
            keep(connection, self._rules, found, now)
            count(connection, _hits(firing for firing in every if self._is_silent(firing)))
            for step in steps:
                if step.chained:
                    store.add_chained(connection, step.chained, versions)
                store.remember(connection, step.told, {}, versions)
                store.forget(connection, {}, step.evicted, step.late)
            store.forget(connection, horizons, (), ())
            marks = {org: mark for windows in self._windows.values() for org, mark in windows.watermarks.items()}
            store.remember(connection, {}, marks, versions)
            position = LakePosition(dict.fromkeys(range(store.SHARES), number), {})
            commit_position(connection, CORRELATOR, position, self._generation, now)
        self._count(steps, firings)

    def _events(self, firings: Iterable[Firing]) -> dict[int, bytes]:
        matches: Iterable[Match] = (match for firing in firings for match in firing.matches)
        with reading(self._engine) as connection:
            return store.events_of(connection, {match.row for match in matches})

    def _is_silent(self, firing: Firing) -> bool:
        """Is it only there for other correlations?"""
        return firing.correlation.id in self._rules.placement.of(firing.org).only_for_correlations

    def _known(self, org: str, rule_id: str) -> Rule | Correlation | None:
        rules = self._rules.placement.of(org)
        return rules.rules.get(rule_id) or next((each for each in rules.correlations if each.id == rule_id), None)

    def _held(self) -> tuple[int, int]:
        held = [windows.held for windows in self._windows.values()]
        return sum(groups for groups, _ in held), sum(matches for _, matches in held)

    def _measure(self) -> None:
        groups, matches = self._held()
        metrics.WINDOW_GROUPS.set(groups)
        metrics.WINDOW_MATCHES.set(matches)

    @staticmethod
    def _count(steps: list[Step], firings: list[Firing]) -> None:
        metrics.CORRELATIONS_FIRED.inc(len(firings))
        metrics.CORRELATE_LATE.inc(sum(len(step.late) for step in steps))
        for evicted in (each for step in steps for each in step.evicted):
            metrics.CORRELATE_EVICTED.labels(evicted.limit).inc(evicted.matches)
        for limit in {each.limit for step in steps for each in step.evicted}:
            _log.warning("correlations forget matches before their time", limit=limit)


def _hits(firings: Iterable[Firing]) -> dict[tuple[str, str, int], Hits]:
    """What correlations found that raise no alerts of their own."""
    found = Counter(
        (firing.org, firing.correlation.id, match.time - match.time % HOUR_MS)
        for firing in firings
        for match in firing.matches
    )
    return {place: Hits(matches=number) for place, number in found.items()}
