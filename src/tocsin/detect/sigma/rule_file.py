"""One rule file: its documents, and its rules compiled, kept for as long as the file says the same."""

from __future__ import annotations

import codecs
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.detect.sigma.document import Document, documents
from tocsin.detect.sigma.filters import Filter, filtered
from tocsin.detect.sigma.logsource import Mapping
from tocsin.detect.sigma.rule import Placeholders, load_rule
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import Rule

__all__ = ["CompiledRule", "Kind", "RuleFile", "kind_of", "not_utf8", "read_rule_file", "rule_file", "values_of"]


class Kind(enum.Enum):
    """What a document of a rule file is, by the key that only it has."""

    RULE = "detection"
    CORRELATION = "correlation"
    FILTER = "filter"
    VALUES = "vars"  # what placeholders stand for, as a processing pipeline of pySigma says it


def kind_of(document: Document) -> Kind:
    """What the document is; a rule, if no key says otherwise."""
    return next((kind for kind in Kind if kind.value in document.content), Kind.RULE)


class CompiledRule:
    """A rule's document and what it was last compiled to."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._expands = _expands(document.content.get("detection"))
        self._of: tuple[object, ...] | None = None
        self._plain: Rule | InvalidRule = InvalidRule("not compiled yet")
        self._filters: tuple[Filter, ...] = ()
        self._filtered: Rule | None = None

    def rule(self, mapping: Mapping | None, placeholders: Placeholders, filters: Sequence[Filter]) -> Rule:
        """The rule, compiled only if something that it depends on is not what it was.

        Raises:
            InvalidRule: it cannot be compiled; names file and line.
        """
        plain = self._compiled(mapping, placeholders if self._expands else {})
        applied = tuple(each for each in filters if each.applies(plain))
        if not applied:
            return plain
        if self._filtered is None or applied != self._filters:
            self._filters, self._filtered = applied, filtered(plain, applied, mapping, placeholders)
        return self._filtered

    def _compiled(self, mapping: Mapping | None, placeholders: Placeholders) -> Rule:
        if self._of != (mapping, placeholders):
            self._of, self._filtered = (mapping, placeholders), None
            try:
                self._plain = load_rule(self.document, mapping, placeholders)
            except InvalidRule as error:
                self._plain = error
        if isinstance(self._plain, InvalidRule):
            raise self._plain
        return self._plain


def _expands(part: object) -> bool:
    """Does some key in there have the modifier `expand`?"""
    if isinstance(part, dict):
        return any("|expand" in str(key) or _expands(value) for key, value in part.items())
    return isinstance(part, list) and any(map(_expands, part))


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a rule file says."""

    path: str
    content: bytes
    rules: tuple[CompiledRule, ...] = ()
    others: tuple[Document, ...] = ()  # correlations, filters, values of placeholders
    refused: tuple[InvalidRule, ...] = ()


def read_rule_file(path: Path, known: RuleFile | None) -> RuleFile:
    """What the file says; the same object if that is what is known of it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return RuleFile(
            str(path), b"", refused=(InvalidRule(f"cannot be read: {error.strerror or error}", str(path), 1),)
        )
    return rule_file(str(path), content, known)


def rule_file(path: str, content: bytes, known: RuleFile | None) -> RuleFile:
    """What such content says, wherever it comes from; the same object if that is what is known of it."""
    return known if known is not None and known.content == content else _read(path, content)


def _read(path: str, content: bytes) -> RuleFile:
    found: list[Document] = []
    refused: list[InvalidRule] = []
    try:
        # What comes before a document that cannot be read is found all the same.
        found.extend(documents(content.decode("utf-8"), path))
    except InvalidRule as error:
        refused.append(error)
    except UnicodeDecodeError as error:
        refused.append(not_utf8(content, error.start, path))
    rules = tuple(CompiledRule(each) for each in found if kind_of(each) is Kind.RULE)
    others = tuple(each for each in found if kind_of(each) is not Kind.RULE)
    return RuleFile(path, content, rules, others, tuple(refused))


def not_utf8(content: bytes, at: int, path: str) -> InvalidRule:
    """Why a file cannot be read whose byte at that place is not UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return InvalidRule("the file is in UTF-16; a rule file must be in UTF-8", path, 1)
    reason = f"a rule file must be a text in UTF-8; byte {content[at]:#04x} here cannot be"
    return InvalidRule(reason, path, content[:at].count(b"\n") + 1)


def values_of(document: Document) -> dict[str, tuple[str, ...]]:
    """What placeholders stand for.

    Raises:
        InvalidRule: no map of names to texts; or a pipeline that would do more than that.
    """
    values = document.content["vars"]
    if document.content.get("transformations"):
        reason = "only the `vars` of a pipeline are used; its transformations are not"
        raise InvalidRule(reason, document.path, document.line_of("transformations"))
    if not isinstance(values, dict):
        raise InvalidRule("vars must be a map of names to texts", document.path, document.line_of("vars"))
    listed = {str(name): each if isinstance(each, list) else [each] for name, each in values.items()}
    return {name: tuple(map(str, texts)) for name, texts in listed.items()}
