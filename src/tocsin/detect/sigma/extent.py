"""How deep YAML is nested, and what its aliases repeat: a file of 1 KB can mean a rule of a billion values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.model.errors import InvalidRule

__all__ = ["refuse_deep", "refuse_endless"]

_MOST_REPEATED: Final = 100_000  # values, a long text counting as several
_CHARACTERS_OF_A_VALUE: Final = 100
_DEEPEST: Final = 1000
_NESTING: Final = "[{-?"  # signs of which a level needs one, unless it is a map that is indented further
_FEW: Final = 10_000
_START: Final = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_END: Final = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


def refuse_deep(text: str, path: str) -> None:
    """Look at the levels of a file that may have very many: the loader's stack would overflow, and end the process.

    Raises:
        InvalidRule: it is nested too deeply; names the line.
        yaml.YAMLError: it is not YAML.
    """
    if sum(map(text.count, _NESTING)) <= _FEW:
        return
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        depth += isinstance(event, _START) - isinstance(event, _END)
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise InvalidRule("lists and maps are nested too deeply", path, line)


def refuse_endless(root: yaml.Node, path: str) -> None:
    """Look at each node once, however often it is named.

    Raises:
        InvalidRule: an alias contains itself, or aliases repeat so much that reading the rule would not end; with line.
    """
    _Sizes(path).of(root)


class _Sizes:
    """How many values nodes stand for, written out without aliases."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[int, int] = {}  # by node; 0 as long as its parts are being looked at
        self._repeated = 0

    def of(self, node: yaml.Node) -> int:
        if id(node) in self._known:
            return self._again(node)
        self._known[id(node)] = 0
        size = 1 + sum(map(self.of, _parts(node)))
        if isinstance(node, yaml.ScalarNode):
            size += len(node.value) // _CHARACTERS_OF_A_VALUE
        self._known[id(node)] = size
        return size

    def _again(self, node: yaml.Node) -> int:
        line = node.start_mark.line + 1
        size = self._known[id(node)]
        if not size:
            raise InvalidRule("an alias contains itself", self._path, line)
        self._repeated += size
        if self._repeated > _MOST_REPEATED:
            raise InvalidRule(f"aliases repeat more than {_MOST_REPEATED:,} values", self._path, line)
        return size


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
