"""The YAML documents of a rule file, and where their parts stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import yaml
from yaml.reader import ReaderError

from tocsin.detect.sigma.extent import refuse_deep, refuse_endless
from tocsin.model.errors import InvalidRule

__all__ = ["Document", "documents"]

_BODIES: Final = ("detection", "correlation", "filter")
_STRING: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_MERGE: Final = "tag:yaml.org,2002:merge"
_YAML: Final = "tag:yaml.org,2002:"
_TEXTS: Final = frozenset({_STRING, _MERGE, _YAML + "value"})  # `<<` and `=`, where they are values
_SCALARS: Final = frozenset({_NULL, *(_YAML + each for each in ("bool", "int", "float", "timestamp"))})
_COLLECTIONS: Final = frozenset({_YAML + "map", _YAML + "seq"})


class _Loader(yaml.CSafeLoader):
    """The same, with what it asks Python for at every node answered sooner."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool]) -> str:
        """The tag of a node that has none: of a plain scalar by what it looks like."""
        if kind is yaml.ScalarNode:
            return _tag(value) if implicit[0] and value is not None else _STRING
        return _YAML + ("seq" if kind is yaml.SequenceNode else "map")

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """Nothing: no tag depends on where a node stands."""

    def ascend_resolver(self) -> None:
        """Nothing either."""


_resolver: Final = yaml.resolver.Resolver()


@lru_cache(maxsize=16_384)
def _tag(plain: str) -> str:
    return str(_resolver.resolve(yaml.ScalarNode, plain, (True, False)))  # type: ignore[no-untyped-call]  # of PyYAML


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a rule file, and the lines where its parts start."""

    content: dict[str, object]
    path: str
    line: int
    selections: dict[str, int]  # and what else stands in the detection, correlation or filter; rules it refers to
    fields: dict[str, int]  # where a field is first named in the body
    keys: dict[str, int]

    def line_of(self, *names: str) -> int:
        """Where the first of these that the document has stands, else where the document starts."""
        for name in names:
            for places in (self.keys, self.selections, self.fields):
                if name in places:
                    return places[name]
        return self.line


def documents(text: str, path: str) -> Iterator[Document]:
    """The YAML documents of a rule file.

    Raises:
        InvalidRule: no YAML, no map, too deep, a key that stands twice, a tag or value that means nothing, or aliases
            without end; names the line.
    """
    loader = _Loader(text)
    line = 1
    try:
        refuse_deep(text, path)
        while loader.check_node():
            node = loader.get_node()
            # Nothing after a last `---` is no mistake.
            if node is not None and (node.start_mark.line == 0 or node.tag != _NULL):
                if "&" in text:  # no anchor, no alias
                    refuse_endless(node, path)
                yield _document(loader, node, path)
            line = node.end_mark.line + 1 if node is not None else line
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InvalidRule(f"not YAML: {error.problem or error}", path, mark.line + 1 if mark else line) from error
    except ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise InvalidRule(f"not YAML: {error.reason}", path, line) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidRule(f"not YAML: {error}", path, line) from error
    except RecursionError as error:
        raise InvalidRule("lists and maps are nested too deeply", path, line) from error
    finally:
        loader.dispose()


def _document(loader: yaml.CSafeLoader, node: yaml.Node, path: str) -> Document:
    if not isinstance(node, yaml.MappingNode):
        raise InvalidRule("a rule must be a map of keys", path, node.start_mark.line + 1)
    content = _Builder(loader, path).mapping(node)
    body = next((value for key, value in node.value if key.value in _BODIES), None)
    selections = _lines(body) if isinstance(body, yaml.MappingNode) else {}
    fields: dict[str, int] = {}
    for name, at in _named(body, set()):
        fields.setdefault(name, at)
    line = node.start_mark.line + 1
    return Document({str(key): value for key, value in content.items()}, path, line, selections, fields, _lines(node))


class _Builder:
    """Makes values of nodes; quicker than the loader's own way, which is not needed for the texts that most are."""

    def __init__(self, loader: yaml.CSafeLoader, path: str) -> None:
        self._loader, self._path = loader, path
        self._shared: dict[int, object] = {}  # by node: what an anchor names is one value, however often it is named

    def mapping(self, node: yaml.MappingNode) -> dict[object, object]:
        if node.tag not in _COLLECTIONS:
            raise self._unknown_tag(node)
        if any(key.tag == _MERGE for key, _ in node.value):
            self._loader.flatten_mapping(node)
        made: dict[object, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise InvalidRule("a key must be a text", self._path, key_node.start_mark.line + 1)
            key = self._value(key_node)
            if key in made:
                reason = f"key {key!r} stands twice in one map, and only one would count"
                raise InvalidRule(reason, self._path, key_node.start_mark.line + 1)
            made[key] = self._value(value_node)
        return made

    def _value(self, node: yaml.Node) -> object:
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag in _TEXTS else self._scalar(node)
        if id(node) not in self._shared:
            self._shared[id(node)] = self._collection(node)
        return self._shared[id(node)]

    def _scalar(self, node: yaml.ScalarNode) -> object:
        if node.tag not in _SCALARS:
            raise self._unknown_tag(node)
        try:
            return self._loader.construct_object(node)
        except (AttributeError, KeyError, ValueError) as error:  # whatever the loader stumbles over
            kind = "date" if node.tag == _YAML + "timestamp" else node.tag.removeprefix(_YAML)
            why = f": {error}" if isinstance(error, ValueError) and kind == "date" else ""
            reason = f"{node.value!r} is not a valid {kind}{why}"
            raise InvalidRule(reason, self._path, node.start_mark.line + 1) from error

    def _unknown_tag(self, node: yaml.Node) -> InvalidRule:
        tag = node.tag.replace(_YAML, "!!")
        return InvalidRule(f"tag {tag} means nothing in a rule", self._path, node.start_mark.line + 1)

    def _collection(self, node: yaml.Node) -> object:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node)
        if node.tag not in _COLLECTIONS:
            raise self._unknown_tag(node)
        return [self._value(item) for item in node.value]


def _named(node: yaml.Node | None, seen: set[int]) -> Iterator[tuple[str, int]]:
    """Every key in a body without its modifiers, and its line; what aliases name is looked at once."""
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _named(item, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value).partition("|")[0], key.start_mark.line + 1
            yield from _named(value, seen)


def _lines(node: yaml.MappingNode) -> dict[str, int]:
    """Where the keys of a map start, and the rules that it refers to."""
    lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
    rules = next((value for key, value in node.value if key.value == "rules"), None)
    if isinstance(rules, yaml.SequenceNode):
        lines |= {str(rule.value): rule.start_mark.line + 1 for rule in rules.value}
    return lines
