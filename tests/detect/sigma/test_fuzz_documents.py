"""Correlations, filters and placeholders with values of any kind: refused with file and line, or loaded; no crash."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.detect.sigma.library import Library, Loader

_RULE = {
    "title": "R",
    "name": "r",
    "id": "rule",
    "logsource": {"product": "linux", "category": "process_creation"},
    "detection": {"s": {"Image|expand": "%p%"}, "condition": "s"},
}
_CORRELATION = {
    "title": "C",
    "id": "c",
    "correlation": {
        "type": "value_count",
        "rules": ["r"],
        "group-by": ["User"],
        "timespan": "1h",
        "condition": {"gte": 2, "field": "Image"},
        "aliases": {"User": {"r": "User"}},
        "generate": True,
    },
    "tocsin": {"title": "{{User}}", "group_by": ["User"], "window": "1h"},
}
_FILTER = {
    "title": "F",
    "id": "f",
    "logsource": {"product": "linux"},
    "filter": {"rules": ["r"], "s": {"User": "x"}, "condition": "not s"},
}
_VALUES = {"vars": {"p": ["x", "y"]}}
_ANYTHING = st.recursive(
    st.sampled_from(
        [None, True, 0, -1, 1.5, "", "x", "c", "r", "s", "1h", "any", "all of them", "\0", "%p%", "a|b", "*"]
    ),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["r", "gte", "field", "s", "x|re"]), inner)
    ),
    max_leaves=4,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - what YAML may hold
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, each in items for inner in _paths(each, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], new: object) -> Any:  # noqa: ANN401 - what YAML may hold
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed


def _load(*documents: object) -> Library:
    text = yaml.safe_dump_all(documents)
    return Loader().load([], texts=[("fuzz.yml", text)])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_value_anywhere_is_refused_or_loaded(data: st.DataObject) -> None:
    """One value of one document replaced by anything; the other documents are none the worse for it."""
    documents: list[Any] = [_RULE, _CORRELATION, _FILTER, _VALUES]
    at = data.draw(st.integers(0, 3))
    path = data.draw(st.sampled_from(_paths(documents[at])))
    documents[at] = _with(documents[at], path, data.draw(_ANYTHING))
    library = _load(*documents)
    assert all(error.path == "fuzz.yml" and error.line > 0 for error in library.refused)
    if at == 1 and path:
        assert [rule.id for rule in library.rules] == ["rule"]


def test_untouched_they_load() -> None:
    """So that what is refused above is refused for its change."""
    library = _load(_RULE, _CORRELATION, _FILTER, _VALUES)
    assert not library.refused
    assert (len(library.rules), len(library.correlations), len(library.filters)) == (1, 1, 1)
