"""From pySigma's parsed detections to the condition tree.

A selection is converted as one piece, since it is what must hold within one record where a rule speaks of records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from sigma.conditions import (
    ConditionAND,
    ConditionIdentifier,
    ConditionNOT,
    ConditionOR,
    ConditionSelector,
    ParentChainMixin,
    SigmaCondition,
)
from sigma.exceptions import SigmaError
from sigma.modifiers import reverse_modifier_mapping
from sigma.rule.detection import SigmaDetection, SigmaDetectionItem, SigmaDetections
from sigma.types import (
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaString,
    SigmaType,
)

from tocsin.detect.sigma.derived import names_syscall, syscall_condition
from tocsin.detect.sigma.logsource import Mapping, Others
from tocsin.detect.sigma.value import compare_test, field_reference, keyword_test, value_test
from tocsin.model.condition import (
    And,
    Condition,
    Exists,
    Field,
    InRecord,
    Keyword,
    Match,
    Not,
    Or,
    Relation,
    SameAs,
    Scope,
    Test,
    Text,
    leaves,
)
from tocsin.model.errors import InvalidRule

__all__ = ["detections_condition"]


def detections_condition(detections: SigmaDetections, mapping: Mapping) -> Condition:
    """What a rule's detections and conditions say, with its fields found through the mapping.

    Raises:
        InvalidRule, SigmaError: something in it has no meaning.
    """
    selections = {name: _selection(part, mapping) for name, part in detections.detections.items()}
    convert = partial(_logic, detections=detections, selections=selections)
    return _any([convert(_parsed(condition)) for condition in detections.parsed_condition])


def _parsed(condition: SigmaCondition) -> ParentChainMixin:
    parsed = condition.parse(postprocess=False)
    if parsed is None:
        raise InvalidRule("the condition is empty")
    return parsed


def _logic(node: object, detections: SigmaDetections, selections: dict[str, Condition]) -> Condition:
    convert = partial(_logic, detections=detections, selections=selections)
    match node:
        case ConditionIdentifier():
            return _named(selections, node.identifier)
        case ConditionSelector():
            found = node.resolve_referenced_detections(detections)
            if not found:
                raise InvalidRule(f"'{node.args[0]} of {node.pattern}' names no selection")
            parts = [_named(selections, each.identifier) for each in found]
            return _all(parts) if node.cond_class is ConditionAND else _any(parts)
        case ConditionAND(args=args):
            return _all([convert(arg) for arg in args])
        case ConditionOR(args=args):
            return _any([convert(arg) for arg in args])
        case ConditionNOT(args=[arg]):
            return Not(convert(arg))
        case _:
            raise InvalidRule(f"a condition cannot hold {type(node).__name__}")


def _named(selections: dict[str, Condition], name: str) -> Condition:
    if name not in selections:
        raise InvalidRule(f"the condition names a selection {name!r} that does not exist")
    return selections[name]


def _selection(detection: SigmaDetection, mapping: Mapping) -> Condition:
    condition = _detection(detection, mapping)
    if mapping.others is Others.RECORD and any(_of_record(leaf) for leaf in leaves(condition)):
        return InRecord(condition)
    return condition


def _of_record(leaf: Match | Keyword) -> bool:
    return isinstance(leaf, Keyword) or leaf.field.scope is Scope.RECORD


def _detection(detection: SigmaDetection | SigmaDetectionItem, mapping: Mapping) -> Condition:
    if isinstance(detection, SigmaDetectionItem):
        return _item(detection, mapping)
    parts = [_detection(item, mapping) for item in detection.detection_items]
    return _all(parts) if detection.item_linking is ConditionAND else _any(parts)


def _item(item: SigmaDetectionItem, mapping: Mapping) -> Condition:
    if not item.value and item.field is None:
        raise InvalidRule("a keyword needs a value")
    values = item.value or [SigmaNull()]
    # Modifiers have already made patterns of the values; a person wants to see what the rule says.
    originals = item.original_value or []
    said = originals if len(originals) == len(values) else values
    parts = [_value(item, value, mapping, _written(item, shown)) for value, shown in zip(values, said, strict=True)]
    linked = _all(parts) if item.value_linking is ConditionAND else _any(parts)
    return Not(linked) if item.negated else linked


def _value(item: SigmaDetectionItem, value: SigmaType, mapping: Mapping, written: str) -> Condition:
    if isinstance(value, SigmaExpansion):
        return _any([_value(item, each, mapping, written) for each in value.values])
    if item.field is None:
        return Keyword(keyword_test(value), written)
    return _field_value(item.field, value, mapping, written)


def _field_value(name: str, value: SigmaType, mapping: Mapping, written: str) -> Condition:
    fields = mapping.resolve(name)
    over = partial(_over, fields, written=written)
    match value:
        case SigmaNull():
            return Not(over(Exists()))
        case SigmaExists(exists=exists):
            return over(Exists()) if exists else Not(over(Exists()))
        case SigmaFieldReference(field=other):
            return _any([over(field_reference(value, field)) for field in mapping.resolve(other)])
        case SigmaCompareExpression():
            compared, opposite = compare_test(value)
            return Not(over(compared)) if opposite else over(compared)
        case _:
            return over(_translated(name, value_test(value), mapping))


def _over(fields: Iterable[Field], test: Test, written: str) -> Condition:
    return _any([_match(field, test, written) for field in fields])


def _match(field: Field, test: Test, written: str) -> Condition:
    if names_syscall(field) and not isinstance(test, SameAs):
        return syscall_condition(test, written)
    return Match(field, test, written)


def _translated(name: str, test: Test, mapping: Mapping) -> Test:
    """The same test with our name of the value, for fields whose values are named differently."""
    if isinstance(test, Text) and name in mapping.values:
        return Text(Relation.EQUALS, mapping.values[name].get(test.value, test.value))
    return test


def _written(item: SigmaDetectionItem, value: SigmaType) -> str:
    modifiers = [reverse_modifier_mapping[modifier.__name__] for modifier in item.modifiers]
    key = "|".join([item.field or "", *modifiers])
    plain = "null" if isinstance(value, SigmaNull) else _plain(value)
    return f"{key}: {plain}" if key else plain


def _plain(value: SigmaType) -> str:
    if isinstance(value, SigmaString):
        return value.original
    try:
        return str(value.to_plain())
    except SigmaError:
        return type(value).__name__


def _linked(of: Callable[[tuple[Condition, ...]], Condition], parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else of(tuple(parts))


_all = partial(_linked, And)
_any = partial(_linked, Or)
