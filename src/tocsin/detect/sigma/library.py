"""Collections of rules: files, folders and the rulesets that come with Tocsin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from tocsin.detect.sigma.document import Document, documents
from tocsin.detect.sigma.logsource import Mapping
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.errors import InvalidRule, NotFound
from tocsin.model.rule import Rule

__all__ = ["Library", "load", "read_documents", "rule_files", "ruleset_folder", "rulesets"]

_RULESETS: Final = Path(str(resources.files("tocsin").joinpath("content/rules")))
_SUFFIXES: Final = frozenset({".yml", ".yaml"})


class Library(msgspec.Struct, frozen=True):
    """Rules that can be used, each id once, and why the others cannot."""

    rules: tuple[Rule, ...]
    refused: tuple[InvalidRule, ...]


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
    """The rule files that paths name: themselves, or what lies below a folder, in order.

    Raises:
        NotFound: a path does not exist.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.suffix in _SUFFIXES and found.is_file())
        elif path.exists():
            yield path
        else:
            raise NotFound(f"{path}: no such file or folder")


def load(paths: Iterable[Path], mapping: Mapping | None = None) -> Library:
    """The rules in files and folders; one that cannot be used does not keep the others from being used.

    Fields are found through each rule's log source, or through the mapping that is given for all.

    Raises:
        NotFound: a path does not exist.
    """
    rules: dict[str, Rule] = {}
    refused: list[InvalidRule] = []
    for document in read_documents(paths, refused):
        try:
            rule = load_rule(document, mapping)
        except InvalidRule as error:
            refused.append(error)
            continue
        first = rules.setdefault(rule.id, rule)
        if first is not rule:
            text = f"id {rule.id} is also the id of {first.path}:{first.line}"
            refused.append(InvalidRule(text, rule.path, document.keys.get("id", rule.line)))
    return Library(tuple(rules.values()), tuple(refused))


def read_documents(paths: Iterable[Path], refused: list[InvalidRule]) -> Iterator[Document]:
    """The documents of all rule files; what cannot be read is added to `refused`."""
    for path in rule_files(paths):
        try:
            yield from documents(path.read_text("utf-8"), str(path))
        except InvalidRule as error:
            refused.append(error)
        except (OSError, UnicodeDecodeError) as error:
            refused.append(InvalidRule(f"cannot be read: {error}", str(path)))
