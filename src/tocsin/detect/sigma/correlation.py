"""A Sigma correlation's document, as it stands: the rules it names are not looked for yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionItem,
    CorrelationConditionNOT,
    CorrelationConditionOR,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)

from tocsin.detect.sigma.additions import Additions, additions_of
from tocsin.detect.sigma.document import Document
from tocsin.detect.sigma.reading import checked_content, read_with
from tocsin.model.correlation import Bound, Comparison, CorrelationType, Every, Expression, Never, Seen, Some
from tocsin.model.errors import InvalidRule

__all__ = ["Declared", "read_correlation"]

_KEYS: Final = frozenset({"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"})
_TEMPORAL: Final = frozenset({CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED})
_OPERATORS: Final = frozenset(Comparison)
_MOST_PERCENT: Final = 100


@dataclass(frozen=True, eq=False, slots=True)
class Declared:
    """What a correlation says; rules are still the references that it uses, ids or names."""

    document: Document
    sigma: SigmaCorrelationRule
    additions: Additions
    type: CorrelationType
    references: tuple[str, ...]
    bounds: tuple[Bound, ...]
    value: tuple[str, ...]
    percentile: float | None
    expression: Expression | None
    generate: bool

    @property
    def group_by(self) -> tuple[str, ...]:
        """The names that matches must be alike in."""
        return tuple(self.sigma.group_by or ())

    def field(self, name: str, reference: str) -> str:
        """The field that a name means in the matches of a rule: what an alias says, or itself."""
        alias = self.sigma.aliases.aliases.get(name)
        fields = {rule.reference: field for rule, field in alias.mapping.items()} if alias else {}
        return fields.get(reference, name)


def read_correlation(document: Document) -> Declared:
    """The correlation of a document.

    Raises:
        InvalidRule: it means nothing; names file and line.
    """
    with read_with(document):
        return _declared(document)


def _declared(document: Document) -> Declared:
    content = checked_content(document)
    body = content.get("correlation")
    if not isinstance(body, dict):
        raise InvalidRule("correlation must be a map of keys")
    if unknown := body.keys() - _KEYS:
        raise InvalidRule(f"{min(map(str, unknown))!r} means nothing in a correlation")
    conditions = _conditions(body.get("condition"))
    # pySigma reads one bound at a time.
    first = {"condition": conditions[0]} if conditions else {}
    sigma = SigmaCorrelationRule.from_dict({**content, "correlation": {**body, **first}})
    _check_aliases(sigma)
    kind = CorrelationType(sigma.type.name.lower())
    references = _references(sigma)
    expression, bounds = _limits(sigma, conditions, references)
    return Declared(
        document=document,
        sigma=sigma,
        additions=additions_of(document.content),
        type=kind,
        references=references,
        bounds=bounds,
        value=_value(sigma),
        percentile=_percentile(sigma, kind),
        expression=expression,
        generate=sigma.generate or content.get("generate") is True,
    )


def _check_aliases(sigma: SigmaCorrelationRule) -> None:
    for name, alias in sigma.aliases.aliases.items():
        for reference, field in alias.mapping.items():
            if not isinstance(field, str):
                raise InvalidRule(f"alias {name!r} must name a field of {reference.reference!r}, not {field!r}")


def _conditions(condition: object) -> list[dict[str, object]]:
    """A condition of several bounds as one condition each."""
    if not isinstance(condition, dict):
        return []
    rest = {key: value for key, value in condition.items() if key not in _OPERATORS}
    operators = [key for key in condition if key in _OPERATORS]
    return [{**rest, key: condition[key]} for key in operators] or [condition]


def _references(sigma: SigmaCorrelationRule) -> tuple[str, ...]:
    if sigma.rules is not None:
        named = [str(rule.reference) for rule in sigma.rules]
    elif isinstance(sigma.condition, SigmaExtendedCorrelationCondition):
        named = sigma.condition.get_referenced_rules()
    else:
        named = []
    if not named:
        raise InvalidRule("a correlation needs rules")
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise InvalidRule(f"rule {twice!r} is named twice")
    return tuple(named)


def _limits(
    sigma: SigmaCorrelationRule, conditions: list[dict[str, object]], references: tuple[str, ...]
) -> tuple[Expression | None, tuple[Bound, ...]]:
    if isinstance(sigma.condition, SigmaExtendedCorrelationCondition):
        return _expression(sigma.condition.parsed), ()
    bounds = tuple(_bound(SigmaCorrelationCondition.from_dict(each)) for each in conditions)
    return None, bounds or (Bound(Comparison.AT_LEAST, len(references)),)


def _bound(condition: SigmaCorrelationCondition) -> Bound:
    return Bound(Comparison(condition.op.name.lower()), condition.count)


def _expression(parsed: CorrelationConditionItem | SigmaRuleReference) -> Expression:
    match parsed:
        case SigmaRuleReference():
            return Seen(parsed.reference)
        case CorrelationConditionAND(args):
            return Every(tuple(map(_expression, args)))
        case CorrelationConditionOR(args):
            return Some(tuple(map(_expression, args)))
        case CorrelationConditionNOT([part]):
            return Never(_expression(part))
        case _:
            raise InvalidRule(f"a condition cannot hold {type(parsed).__name__}")


def _value(sigma: SigmaCorrelationRule) -> tuple[str, ...]:
    if not isinstance(sigma.condition, SigmaCorrelationCondition) or sigma.condition.fieldref is None:
        return ()
    named = sigma.condition.fieldref
    fields = (named,) if isinstance(named, str) else tuple(named)
    if not fields or not all(isinstance(field, str) and field for field in fields):
        raise InvalidRule("the condition's 'field' must be the name of a field, or a list of names")
    counted = CorrelationType(sigma.type.name.lower())
    if counted is CorrelationType.EVENT_COUNT or counted in _TEMPORAL:
        raise InvalidRule(f"the condition's 'field' means nothing in a correlation of type {counted.value}")
    if len(fields) > 1 and counted is not CorrelationType.VALUE_COUNT:
        raise InvalidRule(f"the condition's 'field' must be one field in a correlation of type {counted.value}")
    return fields


def _percentile(sigma: SigmaCorrelationRule, kind: CorrelationType) -> float | None:
    percentile = sigma.condition.percentile if isinstance(sigma.condition, SigmaCorrelationCondition) else None
    if percentile is None:
        return None
    if kind is not CorrelationType.VALUE_PERCENTILE:
        raise InvalidRule(f"the condition's 'percentile' means nothing in a correlation of type {kind.value}")
    if not 0 <= percentile <= _MOST_PERCENT:
        raise InvalidRule(f"percentile {percentile} must be from 0 to 100")
    return percentile
