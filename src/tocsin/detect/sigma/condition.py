"""From pySigma's parsed detections to the condition tree.

A selection is converted as one piece, since it is what must hold within one record where a rule speaks of records.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Map
from functools import lru_cache, partial

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
from tocsin.detect.sigma.modifiers import expanded, is_cased, written_key
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


def detections_condition(
    detections: SigmaDetections, mapping: Mapping, placeholders: Map[str, tuple[str, ...]]
) -> Condition:
    """What a rule's detections and conditions say, with its fields found through the mapping.

    Raises:
        InvalidRule, SigmaError: something in it has no meaning.
    """
    translator = _Translator(mapping, placeholders)
    selections = {name: translator.selection(part) for name, part in detections.detections.items()}
    convert = partial(_logic, detections=detections, selections=selections)
    return _any([convert(_parsed(condition.condition)) for condition in detections.parsed_condition])


@lru_cache(maxsize=4096)
def _parsed(condition: str) -> ParentChainMixin:
    """The parse tree of a condition; it names selections, but looks at none, so that rules can share it."""
    parsed = SigmaCondition(condition, SigmaDetections.__new__(SigmaDetections)).parse(postprocess=False)
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


class _Translator:
    """Selections to conditions, for one log source's fields and one set of placeholders."""

    def __init__(self, mapping: Mapping, placeholders: Map[str, tuple[str, ...]]) -> None:
        self._mapping, self._placeholders = mapping, placeholders

    def selection(self, detection: SigmaDetection) -> Condition:
        condition = self._detection(detection)
        if self._mapping.others is Others.RECORD and any(_of_record(leaf) for leaf in leaves(condition)):
            return InRecord(condition)
        return condition

    def _detection(self, detection: SigmaDetection | SigmaDetectionItem) -> Condition:
        if isinstance(detection, SigmaDetectionItem):
            return self._item(detection)
        parts = [self._detection(item) for item in detection.detection_items]
        return _all(parts) if detection.item_linking is ConditionAND else _any(parts)

    def _item(self, item: SigmaDetectionItem) -> Condition:
        if not item.value and item.field is None:
            raise InvalidRule("a keyword needs a value")
        values = item.value or [SigmaNull()]
        # Modifiers have already made patterns of the values; a person wants to see what the rule says.
        originals = item.original_value or []
        said = originals if len(originals) == len(values) else values
        key = written_key(item)
        parts = [
            self._value(item, each, f"{key}: {_plain(shown)}" if key else _plain(shown))
            for value, shown in zip(values, said, strict=True)
            for each in expanded(value, self._placeholders)
        ]
        linked = _all(parts) if item.value_linking is ConditionAND else _any(parts)
        return Not(linked) if item.negated else linked

    def _value(self, item: SigmaDetectionItem, value: SigmaType, written: str) -> Condition:
        if type(value) is SigmaString and item.field is not None:
            return self._field_value(item.field, value, written)
        if isinstance(value, SigmaExpansion):
            parts = [each for part in value.values for each in expanded(part, self._placeholders)]
            return _any([self._value(item, each, written) for each in parts])
        if item.field is None:
            return Keyword(keyword_test(value), written)
        if isinstance(value, SigmaFieldReference):
            others = self._mapping.resolve(value.field)
            same = [field_reference(value, other, cased=is_cased(item)) for other in others]
            return _any([self._over(item.field, test, written) for test in same])
        return self._field_value(item.field, value, written)

    def _field_value(self, name: str, value: SigmaType, written: str) -> Condition:
        over = partial(self._over, name, written=written)
        match value:
            case SigmaString():  # first, as nearly all values are texts
                return over(self._translated(name, value_test(value)))
            case SigmaNull():
                return Not(over(Exists()))
            case SigmaExists(exists=exists):
                return over(Exists()) if exists else Not(over(Exists()))
            case SigmaCompareExpression():
                return over(compare_test(value))
            case _:
                return over(self._translated(name, value_test(value)))

    def _over(self, name: str, test: Test, written: str) -> Condition:
        return _any([_match(field, test, written) for field in self._mapping.resolve(name)])

    def _translated(self, name: str, test: Test) -> Test:
        """The same test with our name of the value, for fields whose values are named differently."""
        values = self._mapping.values
        if isinstance(test, Text) and name in values:
            return Text(Relation.EQUALS, values[name].get(test.value, test.value))
        return test


def _of_record(leaf: Match | Keyword) -> bool:
    return isinstance(leaf, Keyword) or leaf.field.scope is Scope.RECORD


def _match(field: Field, test: Test, written: str) -> Condition:
    if names_syscall(field) and not isinstance(test, SameAs):
        return syscall_condition(test, written)
    return Match(field, test, written)


def _plain(value: SigmaType) -> str:
    if isinstance(value, SigmaString):
        return value.original
    if isinstance(value, SigmaNull):
        return "null"
    try:
        return str(value.to_plain())
    except SigmaError:
        return type(value).__name__


def _linked(of: Callable[[tuple[Condition, ...]], Condition], parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else of(tuple(parts))


_all = partial(_linked, And)
_any = partial(_linked, Or)
