"""What is wrong with correlations and filters beyond what keeps them from being used."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.detect.sigma.library import Library
from tocsin.model.condition import Field, Scope
from tocsin.model.correlation import Correlation, Lookup, Member
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES

__all__ = ["idle_filters", "impossible_names"]

Place = tuple[str, int, str]  # file, line, what is wrong


def idle_filters(library: Library) -> Iterator[Place]:
    """Rules that a filter names, but that are not there to be filtered."""
    known = {name for rule in library.rules for name in (rule.id, rule.name)}
    for each in library.filters:
        for name in sorted((each.rules or frozenset()) - known):
            line = each.document.line_of(name, "filter")
            yield each.document.path, line, f"rule {name!r}, which the filter names, is not among the rules"


def impossible_names(library: Library) -> Iterator[Place]:
    """Values that a correlation asks for, but that no event of a rule that it names can have."""
    rules = {rule.id: rule for rule in library.rules}
    for correlation in library.correlations:
        for member in correlation.members:
            if (rule := rules.get(member.rule)) is None:
                continue
            for name in _impossible(correlation, member, rule):
                text = f"field {name}, which the correlation asks for, can never exist in {rule.logsource}"
                yield correlation.path, correlation.line, text


def _impossible(correlation: Correlation, member: Member, rule: Rule) -> Iterator[str]:
    asked = [
        *zip(correlation.group_by, member.group_by, strict=True),
        *zip(correlation.value, member.value, strict=True),
        *zip(correlation.carried, member.carried, strict=True),
    ]
    yield from (name for name, lookup in asked if not _possible(lookup, rule))


def _possible(lookup: Lookup, rule: Rule) -> bool:
    return isinstance(lookup, str) or any(_in_events(field, rule) for field in lookup)


def _in_events(field: Field, rule: Rule) -> bool:
    if field.scope is not Scope.ATTRIBUTE:
        return True
    return any(field.path in CLASSES[class_uid].paths for class_uid in rule.class_uids)
