"""Keywords in JSON that nobody took apart: in values, never in names."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.detect.evaluate.naive import holds
from tocsin.detect.evaluate.raw import RawRules
from tocsin.model.condition import Keyword, Relation, Text
from tocsin.model.event import Event
from tocsin.model.rule import Rule

_TEXT = st.text('ab":\\, {}', max_size=6)
_VALUE = st.recursive(
    _TEXT | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(
    sought=st.text('ab":\\, {}', min_size=1, max_size=3) | st.just("true"),
    made=st.lists(st.dictionaries(_TEXT, _VALUE, max_size=3), min_size=1, max_size=8),
    indent=st.sampled_from((-1, 0)),
)
def test_keywords_are_found_in_values(sought: str, made: list[dict[str, object]], indent: int) -> None:
    """However names and values are quoted, a keyword is found where the reference finds it."""
    rule = Rule("r", "", Keyword(Text(Relation.CONTAINS, sought)), (0,))
    lines = [msgspec.json.format(msgspec.json.encode(each), indent=indent) for each in made]
    expected = [
        at
        for at, line in enumerate(lines)
        if holds(rule.condition, Event(0, {"time": 0, "unmapped.source": line.decode()}))
    ]
    assert [at for at, _ in RawRules([rule]).judge(lines).matches] == expected
