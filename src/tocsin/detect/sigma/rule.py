"""A Sigma rule's document to a rule."""

from __future__ import annotations

from collections.abc import Mapping as Map

from sigma.rule import SigmaRule

from tocsin.detect.sigma import logsource
from tocsin.detect.sigma.additions import additions_of
from tocsin.detect.sigma.condition import detections_condition
from tocsin.detect.sigma.document import Document
from tocsin.detect.sigma.reading import checked_content, document_id, level_of, read_with, status_of
from tocsin.model.condition import And, Condition
from tocsin.model.rule import DEFAULT_WINDOW_MS, LogSource, Rule

__all__ = ["Placeholders", "load_rule"]

Placeholders = Map[str, tuple[str, ...]]  # what a `%name%` in a value stands for, where the modifier `expand` says so


def load_rule(
    document: Document, mapping: logsource.Mapping | None = None, placeholders: Placeholders | None = None
) -> Rule:
    """The rule of a document; its fields are found through its log source's mapping, or the one that is given.

    Raises:
        InvalidRule: it cannot be compiled; names file and line.
    """
    with read_with(document):
        return _rule(document, mapping, placeholders or {})


def _rule(document: Document, given: logsource.Mapping | None, placeholders: Placeholders) -> Rule:
    content = checked_content(document)
    additions = additions_of(document.content)
    sigma = (given or logsource.RAW).prepared(SigmaRule.from_dict(content))
    source = LogSource(sigma.logsource.product or "", sigma.logsource.category or "", sigma.logsource.service or "")
    mapping = given or logsource.find_mapping(source)
    return Rule(
        id=document_id(document),
        name=sigma.name or "",
        title=sigma.title,
        condition=_located(detections_condition(sigma.detection, mapping, placeholders), mapping),
        class_uids=mapping.classes,
        title_template=additions.title,
        description=(sigma.description or "").strip(),
        level=level_of(sigma),
        status=status_of(sigma),
        logsource=source,
        tags=tuple(str(tag) for tag in sigma.tags),
        references=tuple(map(str, sigma.references)),
        false_positives=tuple(map(str, sigma.falsepositives)),
        response=additions.response,
        group_by=additions.group_by or mapping.group_by,
        window_ms=additions.window_ms(DEFAULT_WINDOW_MS),
        threshold=additions.threshold,
        life=additions.life(),
        path=document.path,
        line=document.line,
        lines=tuple(document.selections.items()),
    )


def _located(condition: Condition, mapping: logsource.Mapping) -> Condition:
    """The condition, and that the event is of the kind that the log source means."""
    guards = mapping.guards()
    return And((*guards, condition)) if guards else condition
