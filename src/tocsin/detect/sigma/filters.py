"""Sigma filters: what a site adds to rules that it did not write, folded into their conditions at load time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sigma.filters import SigmaFilter

from tocsin.detect.sigma.condition import detections_condition
from tocsin.detect.sigma.document import Document
from tocsin.detect.sigma.logsource import Mapping, find_mapping
from tocsin.detect.sigma.reading import checked_content, read_with
from tocsin.detect.sigma.rule import Placeholders
from tocsin.model.condition import And
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import LogSource, Rule

__all__ = ["Filter", "filtered", "read_filter"]

_KEYS = frozenset({"rules", "condition"})


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter document: the rules it speaks of, and what must hold besides for them to match."""

    document: Document
    sigma: SigmaFilter = field(compare=False)
    rules: frozenset[str] | None = field(compare=False)  # ids or names; None: all rules of the log source

    def applies(self, rule: Rule) -> bool:
        """Does it speak of the rule? Its log source must be the rule's, or a wider one."""
        source = self.sigma.logsource
        own = LogSource(source.product or "", source.category or "", source.service or "")
        if not _within(rule.logsource, own):
            return False
        return self.rules is None or not self.rules.isdisjoint({rule.id, rule.name})


def _within(source: LogSource, wider: LogSource) -> bool:
    pairs = ((wider.product, source.product), (wider.category, source.category), (wider.service, source.service))
    return all(not wanted or wanted == given for wanted, given in pairs)


def read_filter(document: Document) -> Filter:
    """The filter of a document.

    Raises:
        InvalidRule: it means nothing; names file and line.
    """
    with read_with(document):
        body = document.content.get("filter")
        if isinstance(body, dict) and body.keys() <= _KEYS:
            raise InvalidRule("a filter needs a selection")
        sigma = SigmaFilter.from_dict(checked_content(document))
        rules = sigma.filter.rules
        named = None if isinstance(rules, str) else frozenset(str(rule.reference) for rule in rules)
        return Filter(document, sigma, named)


def filtered(rule: Rule, filters: Iterable[Filter], given: Mapping | None, placeholders: Placeholders) -> Rule:
    """The rule, matching only where the conditions of the filters hold too, with its own log source's fields.

    Raises:
        InvalidRule: a filter cannot be compiled for the rule; names the filter's file and line.
    """
    mapping = given or find_mapping(rule.logsource)
    added = []
    for each in filters:
        with read_with(each.document):
            added.append(detections_condition(each.sigma.filter, mapping, placeholders))
    return replace(rule, condition=And((rule.condition, *added))) if added else rule
