"""What is wrong with rule files, with file and line: `tocsin rules check`."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tocsin.detect.evaluate.engine import title_fields
from tocsin.detect.quality.check_joined import idle_filters, impossible_names
from tocsin.detect.sigma.document import Document
from tocsin.detect.sigma.library import Loader, Progress
from tocsin.detect.sigma.logsource import Mapping, find_mapping
from tocsin.model.condition import And, Condition, Field, InRecord, Match, Not, Or, SameAs, Scope, field_at, leaves
from tocsin.model.rule import Rule
from tocsin.model.schema import CLASSES

__all__ = ["Problem", "Report", "Severity", "check", "report"]


class Severity(enum.StrEnum):
    """An error keeps a rule from working; a warning is worth a look."""

    ERROR = "error"
    WARNING = "warning"


class Problem(msgspec.Struct, frozen=True, order=True):
    """Something wrong with a rule."""

    path: str
    line: int
    severity: Severity
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.severity}: {self.text}"


class Report(msgspec.Struct, frozen=True):
    """All that a check found."""

    rules: int  # that can be used
    correlations: int
    filters: int
    problems: tuple[Problem, ...]  # by file and line


def check(
    paths: Iterable[Path], progress: Progress | None = None, texts: Iterable[tuple[str, str]] = ()
) -> list[Problem]:
    """All problems of the rules in files and folders, by file and line; none means that every rule can match."""
    return list(report(paths, progress, texts).problems)


def report(paths: Iterable[Path], progress: Progress | None = None, texts: Iterable[tuple[str, str]] = ()) -> Report:
    """The same, and how much can be used.

    `texts` are files that lie in no folder: what they are called, and what they say.

    Raises:
        NotFound: a path does not exist.
    """
    loader = Loader()
    library = loader.load(paths, progress, texts)
    problems = [Problem(error.path, error.line, Severity.ERROR, error.reason) for error in library.refused]
    for document, rule in loader.compiled:
        problems += _problems(document, rule)
    problems += [Problem(path, 1, Severity.WARNING, "the file holds no rule") for path in loader.empty]
    places = (*idle_filters(library), *impossible_names(library))
    problems += [Problem(path, line, Severity.WARNING, text) for path, line, text in places]
    counts = len(library.rules), len(library.correlations), len(library.filters)
    return Report(*counts, tuple(sorted(problems)))


def _problems(document: Document, rule: Rule) -> Iterator[Problem]:
    if "id" not in document.content:
        yield Problem(document.path, document.line, Severity.ERROR, "the rule has no id")
    mapping = find_mapping(rule.logsource)
    impossible = _impossible_fields(rule)
    for field in impossible:
        line = document.fields.get(field.path, document.keys.get("detection", document.line))
        text = f"field {field.path} can never exist in {rule.logsource}{_suggestion(field, mapping)}"
        yield Problem(document.path, line, Severity.ERROR, text)
    if not _can_match(rule.condition, frozenset(impossible)):
        line = document.selections.get("condition", document.line)
        yield Problem(document.path, line, Severity.ERROR, "the rule can never match")
    if mapping.unsourced:
        line = document.keys.get("logsource", document.line)
        yield Problem(document.path, line, Severity.WARNING, f"no source of this kind yet: {rule.logsource}")
    for name in mapping.unfilled:
        if name in document.fields:
            text = f"field {name} is not filled by any source of {rule.logsource} yet"
            yield Problem(document.path, document.fields[name], Severity.WARNING, text)
    own = document.keys.get("tocsin", document.line)
    for path in sorted({*rule.group_by, *title_fields(rule)}):
        if not _exists(field_at(path), rule):
            text = f"tocsin: no attribute {path} in events of {rule.logsource}{_meant(path, mapping)}"
            yield Problem(document.path, own, Severity.ERROR, text)


def _impossible_fields(rule: Rule) -> list[Field]:
    """The fields that no event has that the rule is applied to, in the rule's order."""
    named = [field for leaf in leaves(rule.condition) if isinstance(leaf, Match) for field in _fields(leaf)]
    return [field for field in dict.fromkeys(named) if not _exists(field, rule)]


def _exists(field: Field, rule: Rule) -> bool:
    if field.scope is not Scope.ATTRIBUTE:
        return True
    return any(field.path in CLASSES[class_uid].paths for class_uid in rule.class_uids)


def _can_match(condition: Condition, impossible: frozenset[Field]) -> bool:
    """Can the condition hold if these fields are always missing?"""
    match condition:
        case And(parts):
            return all(_can_match(part, impossible) for part in parts) and not _contradicts(condition)
        case Or(parts):
            return any(_can_match(part, impossible) for part in parts)
        case InRecord(part) | Not(Not(part)):
            return _can_match(part, impossible)
        case Match():
            return impossible.isdisjoint(_fields(condition))
        case _:
            return True


def _contradicts(condition: And) -> bool:
    """Must something hold and not hold, as in `x and not x`? Only what is written the same is seen to be the same."""
    wanted = list(_wanted(condition))
    opposites = [part.part for part in wanted if isinstance(part, Not)]
    return any(part == opposite for opposite in opposites for part in wanted)


def _wanted(condition: And) -> Iterator[Condition]:
    for part in condition.parts:
        yield part
        if isinstance(part, And):
            yield from _wanted(part)


def _fields(leaf: Match) -> list[Field]:
    return [leaf.field, leaf.test.other] if isinstance(leaf.test, SameAs) else [leaf.field]


def _meant(name: str, mapping: Mapping) -> str:
    """Where titles and groups find what rules call so: they name paths of the event."""
    whole = [
        f"{field.scope.value}.{field.path}" if field.scope.value else field.path for field in mapping.resolve(name)
    ]
    return f"; did you mean {whole[0]}?" if whole and whole[0] != name else ""


def _suggestion(field: Field, mapping: Mapping) -> str:
    known = [*mapping.fields, *(path for class_uid in mapping.classes for path in CLASSES[class_uid].paths)]
    near = difflib.get_close_matches(field.path, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
