"""Where rules apply: compiled once for all orgs, masked by org and by the tags of the agent that events come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from tocsin.columnar.frame import Frame
from tocsin.model.condition import And, Field, Match, Not, Or, Relation, Text
from tocsin.model.correlation import Correlation
from tocsin.model.life import State
from tocsin.model.rule import Rule

__all__ = ["NOWHERE", "OrgRules", "Placement"]

Tags = Mapping[str, str]
_AGENT = Field("device.uid")


@dataclass(frozen=True)
class OrgRules:
    """What counts for one org: its rules, and what was said about them."""

    rules: Mapping[str, Rule]
    correlations: tuple[Correlation, ...] = ()
    only_for_correlations: frozenset[str] = frozenset()  # ids of rules that raise no alerts of their own
    rulesets: Mapping[str, str] = field(default_factory=dict)  # rule -> ruleset
    given: Mapping[str, State] = field(default_factory=dict)  # rule -> the state that somebody gave it
    tags: Mapping[str, Tags] = field(default_factory=dict)  # agent -> its tags
    assigned: Mapping[str, Sequence[Tags]] = field(default_factory=dict)  # ruleset -> the tags of agents it is for

    def state(self, rule_id: str) -> State:
        """The state that somebody gave the rule, else its file's; active for what is no rule of a file."""
        if rule_id in self.given:
            return self.given[rule_id]
        found = self.rules.get(rule_id) or next((each for each in self.correlations if each.id == rule_id), None)
        return found.life.state if found else State.ACTIVE

    def has(self, rule: Rule) -> bool:
        """Whether this very rule counts here, on some agent."""
        return self.rules.get(rule.id) is rule and self.state(rule.id) is not State.DISABLED

    def restricts(self, rule: Rule) -> bool:
        """Whether it depends on the agent if the rule applies."""
        return bool(rule.life.include or rule.life.exclude or self.rulesets.get(rule.id, "") in self.assigned)

    def applies(self, rule: Rule, agent: str) -> bool:
        """Whether the rule applies to what that agent sends."""
        return self.has(rule) and self._is_for(rule, self.tags.get(agent, {}))

    def narrowed(self, rule: Rule) -> Rule:
        """The rule with the agents that it is for in its condition: the same answer, where no placement is at hand."""
        if not self.restricts(rule):
            return rule
        untagged = self._is_for(rule, {})
        # None is called "", so that a rule that is for no agent at all finds nothing.
        others = [agent for agent, tags in self.tags.items() if self._is_for(rule, tags) is not untagged] or [""]
        sent_by_them = Or(tuple(Match(_AGENT, Text(Relation.EQUALS, agent, cased=True)) for agent in sorted(others)))
        return replace(rule, condition=And((rule.condition, Not(sent_by_them) if untagged else sent_by_them)))

    def _is_for(self, rule: Rule, tags: Tags) -> bool:
        wanted = self.assigned.get(self.rulesets.get(rule.id, ""))
        assigned = wanted is None or any(each.items() <= tags.items() for each in wanted)
        included = not rule.life.include or _any_of(rule.life.include, tags)
        return assigned and included and not _any_of(rule.life.exclude, tags)


NOWHERE = OrgRules({})


def _any_of(named: Iterable[str], tags: Tags) -> bool:
    """Has the agent one of these tags, each written name=value or as a name alone?"""
    return any(tags.get(name) == value if equals else name in tags for name, equals, value in map(_split, named))


def _split(tag: str) -> tuple[str, str, str]:
    return tag.partition("=")


class Placement:
    """Which rules there are in all orgs together, and where each of them applies."""

    def __init__(self, orgs: Mapping[str, OrgRules]) -> None:
        self.orgs = orgs
        every = {id(rule): rule for org in orgs.values() for rule in org.rules.values() if org.has(rule)}
        self.rules: tuple[Rule, ...] = tuple(every.values())
        # By identity: two orgs may have rules of one id that say different things. The rules are kept beside.
        self._masked = frozenset(
            key for key, rule in every.items() if any(org.restricts(rule) or not org.has(rule) for org in orgs.values())
        )
        self._known: dict[tuple[int, str, str], bool] = {}

    def of(self, org: str) -> OrgRules:
        """What counts for that org."""
        return self.orgs.get(org, NOWHERE)

    def __call__(self, rule: Rule, frame: Frame, rows: list[int]) -> list[int]:
        """Of the rows that the rule matches, those where it applies; a rule that applies everywhere costs nothing."""
        if id(rule) not in self._masked:
            return rows
        places = frame.table.select(["metadata.tenant_uid", "device.uid"]).take(pa.array(rows, pa.int64()))
        orgs, agents = (column.to_pylist() for column in places.columns)
        return [row for row, *place in zip(rows, orgs, agents, strict=True) if self._applies(rule, *place)]

    def _applies(self, rule: Rule, org: str, agent: str) -> bool:
        key = (id(rule), org, agent)
        if key not in self._known:
            self._known[key] = self.of(org).applies(rule, agent)
        return self._known[key]
