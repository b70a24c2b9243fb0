"""The rules that are in use, and how they are exchanged while events go on coming.

A new set is read and compiled beside the running one, and takes its place whole, between two batches. One that refuses
a rule that the running set does not refuse is not taken: the running one stays, and the log, a metric and the state say
why. If few rules are new, the running engine's successor takes over what it has compiled and learned, which it can only
while nobody uses it: so the thread that judges makes it, in the moment between two batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from tocsin import metrics
from tocsin.alert.silence import Silence
from tocsin.config import Settings
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.evaluate.plan import Cost
from tocsin.detect.life.books import RuleBooks, Said, read_said
from tocsin.detect.life.placement import Placement
from tocsin.detect.sigma.library import Library
from tocsin.model.errors import NotFound
from tocsin.model.life import State
from tocsin.ports import Clock
from tocsin.state.engine import reading
from tocsin.state.life.changes import InUse, change_numbers, note_in_use
from tocsin.state.life.costs import RuleCost, note_costs

__all__ = ["LiveRules", "RuleSet"]

_log = structlog.get_logger(__name__)
_EVERY_S = 1.0
_IDLE_PER_WORK = 50.0
_COSTS_EVERY_MS = 60_000
_FEW = 20  # new rules; compiling one takes a millisecond or two


@dataclass(frozen=True)
class RuleSet:
    """Everything that decides about an event, taken together: it never changes, another one takes its place."""

    placement: Placement
    silence: Silence
    noise_budget: int  # of rules that say nothing; 0 is no limit
    compiled: Engine | None = None  # if so much is new that compiling it would keep events waiting

    def state(self, org: str, rule_id: str) -> State:
        """What becomes of the rule's matches in that org."""
        return self.placement.of(org).state(rule_id)

    def budget(self, org: str, rule_id: str) -> int | None:
        """How many alerts a day the rule may open; None: as many as it likes."""
        rules = self.placement.of(org)
        found = rules.rules.get(rule_id) or next((one for one in rules.correlations if one.id == rule_id), None)
        own = found.life.noise_budget if found else None
        return own if own is not None else self.noise_budget or None


class LiveRules:
    """The rule set in use; `watch` exchanges it when the state or a rule folder has changed."""

    def __init__(self, settings: Settings, state: sa.Engine, clock: Clock, consumer: str) -> None:
        """Load what can be used; what cannot is named in the log, and the others go on.

        Raises:
            NotFound: a ruleset or a path of the settings does not exist.
        """
        self._state, self._clock, self._consumer = state, clock, consumer
        self._noise_budget = settings.noise_budget
        self._woken = threading.Event()
        self._books = RuleBooks(settings.rulesets, settings.rules)
        stamp = self._books.stamp()
        with reading(state) as connection:
            said = read_said(connection)
        self._seen: object = (stamp, said.changes)
        self._libraries = self._books.read(said)
        self._problem, self._problem_at = _refusals(self._libraries.values()), clock.now_ms()
        if self._problem:
            _log.warning("rules not used", reason=self._problem)
        self._loaded_at = clock.now_ms()
        self._engine = Engine(())
        self._current = self._assembled(said)
        self._judging: RuleSet | None = None
        self._costs_at = clock.now_ms()
        self.take()
        self._note(said.changes)

    @property
    def current(self) -> RuleSet:
        """The rule set in use; it is another one from one moment to the next."""
        return self._current

    def take(self) -> tuple[RuleSet, Engine]:
        """The rule set in use and its engine, for the one thread that judges: once for each batch."""
        rules = self._current
        if rules is not self._judging:
            self._engine = self._successor(rules)
            self._judging = rules
        return rules, self._engine

    def _successor(self, rules: RuleSet) -> Engine:
        if _same(self._engine, rules.placement):
            return self._engine
        return rules.compiled or Engine(rules.placement.rules, self._engine)

    def wake(self) -> None:
        """Look now, and take everything anew."""
        self._seen = None
        self._woken.set()

    def watch(self, stop: threading.Event) -> None:
        """Look every second, less often where looking takes long, until told to stop."""
        pause_s = _EVERY_S
        while not stop.is_set():
            self._woken.wait(pause_s)
            self._woken.clear()
            started = time.monotonic()
            if not stop.is_set():
                self._look_patiently()
            pause_s = max(_EVERY_S, _IDLE_PER_WORK * (time.monotonic() - started))

    def halt(self) -> None:
        """Make `watch` notice that it is to stop."""
        self._woken.set()

    def _look_patiently(self) -> None:
        try:
            self.look()
            self._note_costs()
        except sa.exc.OperationalError as error:
            _log.warning("rules cannot be looked at; trying again", reason=str(error.orig))

    def look(self) -> bool:
        """Exchange the rule set if something has changed; gives whether it was exchanged."""
        stamp = self._books.stamp()
        with reading(self._state) as connection:
            if (stamp, change_numbers(connection)) == self._seen:
                return False
            said = read_said(connection)
        self._seen = (stamp, said.changes)
        self._take(said)
        self._note(said.changes)
        return True

    def _take(self, said: Said) -> None:
        """Rules if they are sound, and in any case what was said about them."""
        started = time.monotonic()
        problem = self._read(said)
        self._current = self._assembled(said)
        metrics.RULE_RELOADS.labels("refused" if problem else "taken").inc()
        took_ms = round(1000 * (time.monotonic() - started))
        rules = len(self._current.placement.rules)
        if problem:
            _log.error("new rules refused, the old ones stay", reason=problem, rules=rules)
        else:
            _log.info("rules exchanged", rules=rules, took_ms=took_ms)

    def _read(self, said: Said) -> str | None:
        """Read the rules anew; gives why they are not taken."""
        try:
            found = self._books.read(said)
            known = {str(error) for library in self._libraries.values() for error in library.refused}
            problem = _refusals(found.values(), known)
        except NotFound as error:
            problem = str(error)
        self._problem, self._problem_at = problem, self._clock.now_ms()
        if problem is None:
            self._libraries = found
            self._problem = _refusals(found.values())
            self._loaded_at = self._clock.now_ms()
        return problem

    def _assembled(self, said: Said) -> RuleSet:
        orgs = {org: self._books.org_rules(org, library, said) for org, library in self._libraries.items()}
        placement = Placement(orgs)
        compiled = Engine(placement.rules) if _new_rules(self._engine, placement) > _FEW else None
        metrics.RULES.labels(self._consumer).set(len(placement.rules))
        return RuleSet(placement, Silence(said.suppressions, holds), self._noise_budget, compiled)

    def _note_costs(self) -> None:
        """Say in the state what rules have cost, once a minute."""
        now_ms = self._clock.now_ms()
        if now_ms - self._costs_at < _COSTS_EVERY_MS:
            return
        self._costs_at = now_ms
        found = {rule_id: _cost(cost) for rule_id, cost in self._engine.costs().items() if cost.timed_judged}
        with self._state.begin() as connection:
            note_costs(connection, found, now_ms)

    def _note(self, changes: Mapping[str, int]) -> None:
        """Say in the state what is in use."""
        with self._state.begin() as connection:
            for org, rules in self._current.placement.orgs.items():
                count = sum(rules.has(rule) for rule in rules.rules.values()) + len(rules.correlations)
                change = changes.get(org, 0)
                problem_at = self._problem_at if self._problem else None
                running = InUse(self._consumer, change, count, self._loaded_at, self._problem, problem_at)
                note_in_use(connection, org, running)


def _cost(cost: Cost) -> RuleCost:
    return RuleCost(cost.judged, int(1e9 * cost.timed_s * cost.judged / cost.timed_judged))


def _same(engine: Engine, placement: Placement) -> bool:
    same_number = len(engine.rules) == len(placement.rules)
    return same_number and all(a is b for a, b in zip(engine.rules, placement.rules, strict=True))


def _new_rules(engine: Engine, placement: Placement) -> int:
    known = set(map(id, engine.rules))
    return sum(id(rule) not in known for rule in placement.rules)


def _refusals(libraries: Iterable[Library], known: Iterable[str] = ()) -> str | None:
    """Why rules cannot be used, those that are known apart; None if there are no such."""
    new = dict.fromkeys(str(error) for library in libraries for error in library.refused)
    for each in known:
        new.pop(each, None)
    if not new:
        return None
    more = f" (and {len(new) - 1} more)" if len(new) > 1 else ""
    return f"{next(iter(new))}{more}"
