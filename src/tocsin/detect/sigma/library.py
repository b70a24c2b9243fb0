"""Collections of rules: files, folders and the rulesets that come with Tocsin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tocsin.detect.collection import no_collection
from tocsin.detect.sigma.correlation import Declared, read_correlation
from tocsin.detect.sigma.document import Document
from tocsin.detect.sigma.filters import Filter, read_filter
from tocsin.detect.sigma.logsource import Mapping
from tocsin.detect.sigma.members import Names, joined, threshold_of
from tocsin.detect.sigma.reading import document_id
from tocsin.detect.sigma.rule_file import Kind, RuleFile, kind_of, read_rule_file, rule_file, values_of
from tocsin.model.correlation import Correlation
from tocsin.model.errors import InvalidRule, NotFound
from tocsin.model.rule import Rule

__all__ = ["Library", "Loader", "Progress", "load", "rule_files", "ruleset_folder", "rulesets"]

_RULESETS: Final = Path(str(resources.files("tocsin").joinpath("content/rules")))
_SUFFIXES: Final = (".yml", ".yaml")
_STEP: Final = 100  # rules between two signs of progress
_T = TypeVar("_T")
Progress = Callable[[int, int], None]  # so many of so many rules


_Known = dict[str, Rule | Declared]  # by id


class Library(msgspec.Struct, frozen=True):
    """Rules and correlations that can be used, each id once, and why the others cannot."""

    rules: tuple[Rule, ...]
    refused: tuple[InvalidRule, ...]
    correlations: tuple[Correlation, ...] = ()  # outer ones before those they name
    filters: tuple[Filter, ...] = ()  # already folded into the rules

    @property
    def silent(self) -> frozenset[str]:
        """The ids of rules and correlations that are only there for correlations: they raise no alerts of their own."""
        named = {member.rule for each in self.correlations if not each.generate for member in each.members}
        asked = {member.rule for each in self.correlations if each.generate for member in each.members}
        return frozenset(named - asked)


def rulesets() -> list[str]:
    """Names of the rulesets that come with Tocsin."""
    return sorted(path.name for path in _RULESETS.iterdir() if path.is_dir()) if _RULESETS.is_dir() else []


def ruleset_folder(name: str) -> Path:
    """Where a ruleset's files are.

    Raises:
        NotFound: there is none of that name.
    """
    if name not in rulesets():
        raise NotFound(f"there is no ruleset {name!r}; there are {', '.join(rulesets())}")
    return _RULESETS / name


def rule_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The rule files that paths name: themselves, or what lies below a folder, by name, a folder's own files first.

    Raises:
        NotFound: a path does not exist.
    """
    for path in paths:
        if path.is_dir():
            yield from map(Path, _below(str(path)))
        elif path.exists():
            yield path
        else:
            raise NotFound(f"{path}: no such file or folder")


def _below(folder: str) -> Iterator[str]:
    """Far quicker than pathlib, which counts when thousands of files are looked at again because one changed."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    yield from (entry.path for entry in found if entry.name.endswith(_SUFFIXES) and entry.is_file())
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)


def load(paths: Iterable[Path], mapping: Mapping | None = None) -> Library:
    """The rules in files and folders, once; see `Loader.load`."""
    return Loader(mapping).load(paths)


class Loader:
    """Loads rules again and again: a file that says what it said before is not read as YAML or compiled again.

    A rule that did not change is the very same object as before, unless a filter or placeholder of it did.
    """

    def __init__(self, mapping: Mapping | None = None) -> None:
        """Fields are found through each rule's log source, or through the mapping that is given for all."""
        self._mapping = mapping
        self._files: dict[str, RuleFile] = {}
        self.compiled: list[tuple[Document, Rule]] = []  # the rules of the last load, and what they were made of

    @property
    def empty(self) -> list[str]:
        """The files of the last load that say nothing, not even something wrong."""
        return [path for path, file in self._files.items() if not (file.rules or file.others or file.refused)]

    def load(
        self, paths: Iterable[Path], progress: Progress | None = None, texts: Iterable[tuple[str, str]] = ()
    ) -> Library:
        """The rules in files and folders; one that cannot be used does not keep the others from being used.

        `texts` are files that lie in no folder: what they are called, and what they say.

        Raises:
            NotFound: a path does not exist.
        """
        with no_collection():
            self._read(list(rule_files(paths)), texts)
            return self._library(progress)

    def _library(self, progress: Progress | None) -> Library:
        refused = [error for file in self._files.values() for error in file.refused]
        placeholders = _placeholders(self._of_kind(Kind.VALUES), refused)
        filters = tuple(_each(read_filter, self._of_kind(Kind.FILTER), refused))
        known: _Known = {}
        self.compiled = []
        for at, compiled in enumerate(every := [rule for file in self._files.values() for rule in file.rules]):
            try:
                rule = compiled.rule(self._mapping, placeholders, filters)
                _only(known, rule.id, rule, compiled.document)
                self.compiled.append((compiled.document, rule))
            except InvalidRule as error:
                refused.append(error)
            if progress and at % _STEP == 0:
                progress(at, len(every))
        rules = [rule for _, rule in self.compiled]
        correlations = self._correlations(rules, known, refused)
        return Library(tuple(rules), tuple(refused), correlations, filters)

    def _read(self, paths: list[Path], texts: Iterable[tuple[str, str]]) -> None:
        known, self._files = self._files, {}
        for path in paths:
            self._files[str(path)] = read_rule_file(path, known.get(str(path)))
        for name, text in texts:
            self._files[name] = rule_file(name, text.encode(), known.get(name))

    def _of_kind(self, kind: Kind) -> Iterator[Document]:
        return (each for file in self._files.values() for each in file.others if kind_of(each) is kind)

    def _correlations(self, rules: list[Rule], known: _Known, refused: list[InvalidRule]) -> tuple[Correlation, ...]:
        declared: list[Declared] = []
        for each in _each(read_correlation, self._of_kind(Kind.CORRELATION), refused):
            try:
                _only(known, document_id(each.document), each, each.document)
            except InvalidRule as error:
                refused.append(error)
            else:
                declared.append(each)
        names = Names(rules, declared, self._refused_names(refused)) if declared else Names((), (), ())
        made, lost = joined(declared, {rule.id: rule for rule in rules}, names, self._mapping)
        refused += lost
        return (*made, *(threshold_of(rule) for rule in rules if rule.threshold))

    def _refused_names(self, refused: Iterable[InvalidRule]) -> Iterator[tuple[str, str]]:
        """What the documents that are refused are called, and where they stand."""
        places = {error.path for error in refused}
        for file in self._files.values():
            if file.path in places:
                for document in (*(each.document for each in file.rules), *file.others):
                    for key in ("id", "name"):
                        yield str(document.content.get(key)), f"{document.path}:{document.line}"


def _only(known: _Known, own: str, new: Rule | Declared, at: Document) -> None:
    """Take it in, unless its id is taken."""
    first = known.setdefault(own, new)
    if first is not new:
        path, line = (first.path, first.line) if isinstance(first, Rule) else (first.document.path, first.document.line)
        raise InvalidRule(f"id {own} is also the id of {path}:{line}", at.path, at.line_of("id"))


def _each(read: Callable[[Document], _T], documents: Iterable[Document], refused: list[InvalidRule]) -> Iterator[_T]:
    for document in documents:
        try:
            yield read(document)
        except InvalidRule as error:
            refused.append(error)


def _placeholders(documents: Iterable[Document], refused: list[InvalidRule]) -> dict[str, tuple[str, ...]]:
    joined: dict[str, tuple[str, ...]] = {}
    for values in _each(values_of, documents, refused):
        joined |= values
    return joined
