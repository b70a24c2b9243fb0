"""Every rule of an org with its state and what it found lately, as people see it."""

from __future__ import annotations

import threading

import msgspec
import sqlalchemy as sa

from tocsin.detect.life.books import RuleBooks, Said, Stamp, read_said
from tocsin.detect.life.placement import OrgRules
from tocsin.detect.sigma.library import Library
from tocsin.model.correlation import Correlation
from tocsin.model.errors import NotFound
from tocsin.model.life import severity
from tocsin.model.rule import Rule
from tocsin.state.life.changes import InUse, change_numbers, in_use
from tocsin.state.life.costs import RuleCost, costs
from tocsin.state.life.hits import DAY_MS, Hits, hits, last_hits

__all__ = ["Overview", "RuleSeen", "Rules"]

_DAYS = 7


class RuleSeen(msgspec.Struct, frozen=True):
    """A rule or correlation, its state, and its hits of the last seven days."""

    id: str
    title: str
    kind: str  # rule, correlation
    level: str
    severity: int
    ruleset: str
    logsource: str
    tags: tuple[str, ...]
    state: str
    state_reason: str
    state_by: str  # empty: the file says so
    noise_budget: int | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    matches: int
    alerts: int
    staged: int
    suppressed: int
    last_hour: int | None  # when the last hour with a match began, ms
    cost_ms: float | None  # that judging has taken since the detector started
    version: int | None  # of an applied one
    path: str
    line: int


class Overview(msgspec.Struct, frozen=True):
    """The rules of an org, what cannot be used, and what detectors run."""

    rules: list[RuleSeen]
    refused: list[str]
    in_use: list[InUse]


class Lately(msgspec.Struct, frozen=True):
    """What a rule has done lately."""

    hits: Hits
    last: int | None
    cost: RuleCost | None


class Rules:
    """Reads the rules of an org again and again; from the files only if these have changed."""

    def __init__(self, books: RuleBooks) -> None:
        self._books = books
        self._lock = threading.Lock()
        self._seen: tuple[Stamp, dict[str, int]] | None = None
        self._said: Said | None = None
        self._libraries: dict[str, Library] = {}

    def overview(self, connection: sa.Connection, org: str, now_ms: int) -> Overview:
        """Everything about an org's rules, by title."""
        with self._lock:
            library, said = self._read(connection, org)
            counts = self._books.org_rules(org, library, said)
        found = hits(connection, org, now_ms - _DAYS * DAY_MS)
        last = last_hits(connection, org)
        cost = costs(connection)
        every: list[Rule | Correlation] = [*library.rules, *library.correlations]
        seen = [
            _seen(each, counts, said, org, Lately(found.get(each.id, Hits()), last.get(each.id), cost.get(each.id)))
            for each in every
        ]
        refused = [str(error) for error in library.refused]
        return Overview(sorted(seen, key=lambda rule: (rule.title, rule.id)), refused, in_use(connection, org))

    def one(self, connection: sa.Connection, org: str, rule_id: str, now_ms: int) -> RuleSeen:
        """One rule.

        Raises:
            NotFound: the org has no such rule.
        """
        found = next((rule for rule in self.overview(connection, org, now_ms).rules if rule.id == rule_id), None)
        if found is None:
            raise NotFound(f"there is no rule {rule_id}")
        return found

    def _read(self, connection: sa.Connection, org: str) -> tuple[Library, Said]:
        seen = self._books.stamp(), change_numbers(connection)
        if self._said is None or seen != self._seen or org not in self._libraries:
            said = read_said(connection)
            self._libraries, self._said, self._seen = self._books.read(said), said, seen
        return self._libraries.get(org, Library((), ())), self._said


def _seen(each: Rule | Correlation, org_rules: OrgRules, said: Said, org: str, lately: Lately) -> RuleSeen:
    given = said.states.get(org, {}).get(each.id)
    version = said.versions.get(org, {}).get(each.id)
    return RuleSeen(
        id=each.id,
        title=each.title,
        kind="rule" if isinstance(each, Rule) else "correlation",
        level=each.level,
        severity=severity(each.level),
        ruleset=org_rules.rulesets.get(each.id, ""),
        logsource=str(each.logsource) if isinstance(each, Rule) else "",
        tags=each.tags,
        state=org_rules.state(each.id).value,
        state_reason=given.reason if given else "",
        state_by=given.author if given else "",
        noise_budget=each.life.noise_budget,
        include=each.life.include,
        exclude=each.life.exclude,
        matches=lately.hits.matches,
        alerts=lately.hits.alerts,
        staged=lately.hits.staged,
        suppressed=lately.hits.suppressed,
        last_hour=lately.last,
        cost_ms=round(lately.cost.took_ns / 1e6, 3) if lately.cost else None,
        version=version.version if version else None,
        path=each.path,
        line=each.line,
    )
