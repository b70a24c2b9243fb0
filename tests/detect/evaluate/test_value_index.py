"""Values are judged once, and what is remembered of them is bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from condition_strategies import TESTS, VALUES
from tocsin.conditions.literal import passes
from tocsin.detect.evaluate.value_index import NO_TEXT, ValueIndex
from tocsin.model.condition import Relation, Test, Text


def _index(tests: list[Test]) -> ValueIndex:
    index = ValueIndex()
    for test in tests:
        index.add(test)
    index.freeze()
    return index


@settings(max_examples=300, deadline=None)
@given(tests=st.lists(TESTS, min_size=1, max_size=6, unique=True), values=st.lists(VALUES, max_size=8))
def test_a_value_is_in_the_class_of_the_tests_it_passes(tests: list[Test], values: list[str]) -> None:
    """All tests together decide as each alone, whether they are scanned for, looked up or judged when asked."""
    index = _index(tests)
    for value, number in zip(values, index.classify(values), strict=True):
        passed = index.members[number] | {at for at in index.lazy if index.passes_lazy(at, value)}
        assert passed == {at for at, test in enumerate(tests) if passes(test, value)}


def test_equal_tests_are_one_and_missing_passes_nothing() -> None:
    """The same term of many rules is judged once."""
    index = ValueIndex()
    test = Text(Relation.CONTAINS, "abc")
    assert index.add(test) == index.add(Text(Relation.CONTAINS, "abc"))
    index.freeze()
    assert index.classify([None, "xabcx"]) == [NO_TEXT, 1]


def test_what_is_remembered_is_bounded() -> None:
    """Millions of values that never come again do not fill the memory, and judging goes on."""
    index = _index([Text(Relation.CONTAINS, "needle")])
    for start in range(0, 200_000, 10_000):
        index.classify([f"value {number}" for number in range(start, start + 10_000)])
        assert len(index._cached) <= 60_000
    index.classify(["x" * 5_000_000])
    (found,) = index.classify(["a needle"])
    assert index.members[found] == {0}
    assert list(index._cached) == ["a needle"]
