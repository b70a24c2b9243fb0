"""One YAML document of a rule file as it stands: every part with its place, so that it can be named and mended."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from tocsin.detect.sigma.extent import refuse_deep, refuse_endless

__all__ = [
    "Edit",
    "Item",
    "Kind",
    "RuleText",
    "entries",
    "is_text",
    "items",
    "members",
    "removed",
    "replaced",
    "rule_texts",
    "scalars",
    "type_of",
    "valued",
]


class Kind(enum.StrEnum):
    """What a document is."""

    RULE = "rule"
    CORRELATION = "correlation"
    FILTER = "filter"


class Edit(NamedTuple):
    """Characters start to end of the file become this text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """A field with its modifiers and values in a selection; a keyword has no field."""

    selection: str
    key: yaml.Node
    field: str
    modifiers: tuple[str, ...]
    value: yaml.Node
    values: tuple[yaml.Node, ...]

    def modified_by(self, *modifiers: str) -> bool:
        """Does it have one of these modifiers?"""
        return not set(modifiers).isdisjoint(self.modifiers)

    def with_key(self, field: str, modifiers: tuple[str, ...]) -> Edit:
        """The edit that gives it this field and these modifiers."""
        return replaced(self.key, "|".join((field, *modifiers)))


# What stands in a detection or filter beside selections.
_NO_SELECTIONS: Final = {Kind.RULE: {"condition", "timeframe"}, Kind.FILTER: {"condition", "rules"}}
_BODY: Final = {Kind.RULE: "detection", Kind.CORRELATION: "correlation", Kind.FILTER: "filter"}


class RuleText:
    """A document."""

    def __init__(self, path: Path, text: str, root: yaml.MappingNode) -> None:
        self.path, self.text, self.root = path, text, root
        self.keys = {str(key.value): (key, value) for key, value in root.value}
        self.kind = next((kind for kind in (Kind.CORRELATION, Kind.FILTER) if kind.value in self.keys), Kind.RULE)
        self.line = root.start_mark.line + 1
        self.last_line = root.end_mark.line + 1

    def get(self, key: str) -> yaml.Node | None:
        """The value of a key."""
        return self.keys[key][1] if key in self.keys else None

    def said(self, key: str) -> str:
        """The text of a key; empty if it has none."""
        node = self.get(key)
        return node.value if isinstance(node, yaml.ScalarNode) else ""

    def list_of(self, key: str) -> list[yaml.Node]:
        """The members of a key's list."""
        return members(self.get(key))

    @cached_property
    def body(self) -> yaml.Node | None:
        """What stands under detection, correlation or filter."""
        return self.get(_BODY[self.kind])

    @cached_property
    def parts(self) -> dict[str, yaml.Node]:
        """What stands in the body, by key."""
        return {str(key.value): value for key, value in entries(self.body)}

    @cached_property
    def selections(self) -> dict[str, yaml.Node]:
        """The selections of a rule or filter by name."""
        if self.kind is Kind.CORRELATION:
            return {}
        return {name: node for name, node in self.parts.items() if name not in _NO_SELECTIONS[self.kind]}

    @cached_property
    def selection_keys(self) -> dict[str, yaml.Node]:
        """Where the names of selections stand."""
        return {str(key.value): key for key, _ in entries(self.body) if str(key.value) in self.selections}

    @cached_property
    def items(self) -> list[Item]:
        """Every field with its values, and every keyword."""
        return [item for name, node in self.selections.items() for item in items(name, node)]

    @cached_property
    def conditions(self) -> list[yaml.ScalarNode]:
        """The condition; several if it is a list."""
        node = self.parts.get("condition")
        found = members(node) if isinstance(node, yaml.SequenceNode) else [node]
        return [each for each in found if isinstance(each, yaml.ScalarNode)]


def rule_texts(path: Path, text: str) -> Iterator[RuleText | yaml.Node]:
    """The documents of a file; the node itself where one is no map. Lists for placeholders (`vars`) are no rules.

    Raises:
        yaml.YAMLError: it is not YAML.
        InvalidRule: it is nested too deeply, or its aliases have no end; names the line.
    """
    refuse_deep(text, str(path))
    loader = yaml.CSafeLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None and "&" in text:  # no anchor, no alias
                refuse_endless(node, str(path))
            if isinstance(node, yaml.MappingNode):
                found = RuleText(path, text, node)
                if "vars" not in found.keys:
                    yield found
            elif node is not None:
                yield node
    finally:
        loader.dispose()


def entries(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a map; of anything else nothing."""
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def members(node: yaml.Node | None) -> list[yaml.Node]:
    """What is in a list; of anything else nothing."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def scalars(node: yaml.Node | None) -> list[yaml.ScalarNode]:
    """A single value, or the single values in a list."""
    found = members(node) if isinstance(node, yaml.SequenceNode) else [node]
    return [each for each in found if isinstance(each, yaml.ScalarNode)]


def type_of(node: yaml.Node | None) -> str:
    """YAML's own name of a value's type: str, int, float, bool, null, timestamp, map, seq."""
    return node.tag.rpartition(":")[2] if node is not None else "null"


def is_text(node: yaml.Node | None) -> bool:
    """Is it a text?"""
    return isinstance(node, yaml.ScalarNode) and type_of(node) == "str"


def valued(node: yaml.Node | None) -> bool:
    """Is there something other than null?"""
    return node is not None and type_of(node) != "null"


def items(selection: str, node: yaml.Node) -> Iterator[Item]:
    """Every field with its values in a selection, and every keyword."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            field, *modifiers = str(key.value).split("|")
            values = tuple(members(value)) if isinstance(value, yaml.SequenceNode) else (value,)
            yield Item(selection, key, field, tuple(modifiers), value, values)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from items(selection, each)
    else:
        yield Item(selection, node, "", (), node, (node,))


def replaced(node: yaml.Node, text: str) -> Edit:
    """The edit that makes a single value another, quoted as it was."""
    style = getattr(node, "style", None)
    quote = style if style in {"'", '"'} else ""
    inner = text.replace("'", "''") if quote == "'" else text
    return Edit(node.start_mark.index, node.end_mark.index, f"{quote}{inner}{quote}")


def removed(rule: RuleText, node: yaml.Node) -> tuple[Edit, ...]:
    """The edit that takes a list's member away, if it stands on a line of its own."""
    start = rule.text.rfind("\n", 0, node.start_mark.index) + 1
    end = rule.text.find("\n", node.end_mark.index)
    before, after = rule.text[start : node.start_mark.index], rule.text[node.end_mark.index : end]
    if end < 0 or before.strip() != "-" or after.strip():
        return ()
    return (Edit(start, end + 1, ""),)
