"""Correlations joined with the rules and correlations that they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tocsin.detect.sigma.correlation import Declared
from tocsin.detect.sigma.logsource import Mapping, find_mapping
from tocsin.detect.sigma.reading import document_id, level_of, read_with, status_of
from tocsin.model.condition import field_at
from tocsin.model.correlation import (
    Bound,
    Comparison,
    Correlation,
    CorrelationType,
    Every,
    Expression,
    Lookup,
    Member,
    Never,
    Seen,
    Some,
)
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import LEVELS, Rule

__all__ = ["Names", "joined", "threshold_of"]


class Names:
    """What rules and correlations may be called by: their ids, and names that only one has."""

    def __init__(self, rules: Iterable[Rule], declared: Iterable[Declared], refused: Iterable[tuple[str, str]]) -> None:
        """Refused: pairs of what a rule that cannot be used is called, and where it stands."""
        self._ids: dict[str, set[str]] = {}
        self._refused = dict(refused)
        for rule in rules:
            self._add(rule.id, rule.name)
        for each in declared:
            self._add(document_id(each.document), each.sigma.name or "")

    def _add(self, own: str, name: str) -> None:
        for called in {own, name} - {""}:
            self._ids.setdefault(called, set()).add(own)

    def id_of(self, reference: str) -> str:
        """The id of what a reference means.

        Raises:
            InvalidRule: nothing, something that is refused itself, or more than one thing.
        """
        found = self._ids.get(reference, set())
        if reference in found:
            return reference
        if len(found) > 1:
            raise InvalidRule(f"rule {reference!r} is the name of more than one: {', '.join(sorted(found))}")
        if found:
            return next(iter(found))
        if reference in self._refused:
            raise InvalidRule(f"rule {reference!r} cannot be used itself: see {self._refused[reference]}")
        raise InvalidRule(f"rule {reference!r} is not among the rules")


@dataclass(slots=True)
class _Node:
    """A correlation on its way: the ids of what it names, and what is asked of its firings."""

    declared: Declared
    members: dict[str, str]  # id -> the reference that the document uses
    carried: list[str] = field(default_factory=list)

    def asked(self) -> Iterator[str]:
        """Every name that a member must give a value for."""
        yield from self.declared.group_by
        yield from self.declared.value
        yield from self.carried


def joined(
    declared: Iterable[Declared], rules: Map[str, Rule], names: Names, given: Mapping | None
) -> tuple[list[Correlation], list[InvalidRule]]:
    """The correlations whose members exist, outer ones before those they name, and why the others cannot be used."""
    nodes: dict[str, _Node] = {}
    refused: list[InvalidRule] = []
    for each in declared:
        try:
            with read_with(each.document):
                nodes[document_id(each.document)] = _Node(each, {names.id_of(ref): ref for ref in each.references})
        except InvalidRule as error:
            refused.append(error)
    refused += _without_members(nodes, rules)
    order = _outer_first(nodes)
    _pass_on(order, nodes)
    levels: dict[str, str] = {rule.id: rule.level for rule in rules.values()}
    made = [_correlation(own, nodes, rules, levels, given) for own in reversed(order)]
    return made[::-1], refused


def _without_members(nodes: dict[str, _Node], rules: Map[str, Rule]) -> list[InvalidRule]:
    """Take out what names itself, by whatever detour, and what names something that is out."""
    refused = []
    while (cycle := _cycle(nodes)) or any(_lost(node, nodes, rules) for node in nodes.values()):
        for own, node in list(nodes.items()):
            lost = _lost(node, nodes, rules)
            if own in cycle or lost:
                back = next((ref for member, ref in node.members.items() if member in cycle and own in cycle), "")
                reason = f"rule {back!r} leads back to this one" if back else f"rule {lost!r} cannot be used itself"
                document = node.declared.document
                refused.append(InvalidRule(reason, document.path, document.line_of(back or lost)))
                del nodes[own]
    return refused


def _lost(node: _Node, nodes: dict[str, _Node], rules: Map[str, Rule]) -> str:
    return next((ref for own, ref in node.members.items() if own not in rules and own not in nodes), "")


def _graph(nodes: dict[str, _Node]) -> dict[str, list[str]]:
    return {own: [member for member in node.members if member in nodes] for own, node in nodes.items()}


def _cycle(nodes: dict[str, _Node]) -> frozenset[str]:
    try:
        TopologicalSorter(_graph(nodes)).prepare()
    except CycleError as error:
        return frozenset(error.args[1])
    return frozenset()


def _outer_first(nodes: dict[str, _Node]) -> list[str]:
    return list(TopologicalSorter(_graph(nodes)).static_order())[::-1]


def _pass_on(order: list[str], nodes: dict[str, _Node]) -> None:
    """Tell each inner correlation which names outer ones look up in its firings."""
    for own in order:
        node = nodes[own]
        given = {*node.declared.group_by, *node.carried}
        node.carried += [name for name in node.declared.additions.names() if name not in given]
        for member, reference in node.members.items():
            inner = nodes.get(member)
            if inner is None:
                continue
            wanted = dict.fromkeys(node.declared.field(name, reference) for name in node.asked())
            known = {*inner.declared.group_by, *inner.carried}
            inner.carried += [name for name in wanted if name not in known]


def _correlation(
    own: str, nodes: dict[str, _Node], rules: Map[str, Rule], levels: dict[str, str], given: Mapping | None
) -> Correlation:
    node = nodes[own]
    declared, sigma, document = node.declared, node.declared.sigma, node.declared.document
    highest = max((levels[member] for member in node.members), key=LEVELS.index)
    levels[own] = level_of(sigma, highest)
    references = {reference: member for member, reference in node.members.items()}
    timespan_ms = sigma.timespan.seconds * 1000
    return Correlation(
        id=own,
        name=sigma.name or "",
        title=sigma.title,
        type=declared.type,
        members=tuple(_member(node, member, rules.get(member), given) for member in node.members),
        timespan_ms=timespan_ms,
        bounds=declared.bounds,
        group_by=declared.group_by,
        value=declared.value,
        carried=tuple(node.carried),
        percentile=declared.percentile,
        expression=declared.expression and _resolved(declared.expression, references),
        generate=declared.generate,
        title_template=declared.additions.title,
        description=(sigma.description or "").strip(),
        level=levels[own],
        status=status_of(sigma),
        tags=tuple(map(str, sigma.tags)),
        references=tuple(map(str, sigma.references)),
        false_positives=tuple(map(str, sigma.falsepositives)),
        response=declared.additions.response,
        alert_by=declared.additions.group_by or declared.group_by,
        window_ms=declared.additions.window_ms(timespan_ms),
        life=declared.additions.life(),
        path=document.path,
        line=document.line,
    )


def _member(node: _Node, member: str, rule: Rule | None, given: Mapping | None) -> Member:
    def lookups(names: Iterable[str]) -> tuple[Lookup, ...]:
        fields = (node.declared.field(name, node.members[member]) for name in names)
        mapping = None if rule is None else given or find_mapping(rule.logsource)
        return tuple(name if mapping is None else mapping.resolve(name) for name in fields)

    declared = node.declared
    return Member(member, lookups(declared.group_by), lookups(declared.value), lookups(node.carried))


def _resolved(expression: Expression, references: dict[str, str]) -> Expression:
    match expression:
        case Seen(reference):
            return Seen(references[reference])
        case Every(parts):
            return Every(tuple(_resolved(part, references) for part in parts))
        case Some(parts):
            return Some(tuple(_resolved(part, references) for part in parts))
        case Never(part):
            return Never(_resolved(part, references))


def threshold_of(rule: Rule) -> Correlation:
    """What a rule's own threshold says: so many of its matches, in its group and window, are one alert."""
    lookups: tuple[Lookup, ...] = tuple((field_at(path),) for path in rule.group_by)
    return Correlation(
        id=f"{rule.id}:threshold",
        title=rule.title,
        type=CorrelationType.EVENT_COUNT,
        members=(Member(rule.id, lookups),),
        timespan_ms=rule.window_ms,
        bounds=(Bound(Comparison.AT_LEAST, rule.threshold),),
        group_by=rule.group_by,
        alert_by=rule.group_by,
        title_template=rule.title_template,
        description=rule.description,
        level=rule.level,
        status=rule.status,
        tags=rule.tags,
        references=rule.references,
        false_positives=rule.false_positives,
        response=rule.response,
        window_ms=rule.window_ms,
        life=rule.life,
        path=rule.path,
        line=rule.line,
    )
