"""JSON lines as columns: the texts at every path, however the lines are cut and whatever came before."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.columnar.json_columns import JsonColumns, texts_at
from tocsin.detect.evaluate.cells import column_of
from tocsin.model.event import Json

_PATHS = ("a", "a.b", "a.b.c", "b")
_TEXT = st.text('ab\\/"\u00e9\u2028 \n', max_size=3)
_SIMPLE = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), _TEXT)
_JSON = st.recursive(
    _SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "c", "a.b", "b.c"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_EVENTS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "a.b", "a.b.c", "other", "x" * 40]), _JSON | _SIMPLE, max_size=4),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(batches=st.lists(_EVENTS, min_size=1, max_size=4))
def test_columns_hold_the_texts_of_each_path(batches: list[list[dict[str, Json]]]) -> None:
    """Whatever was learned from earlier lines, each column has what the event itself has."""
    columns = JsonColumns(_PATHS, whole=True)
    for events in batches:
        frame, numbers, refused = columns.frame([msgspec.json.encode(event) for event in events])
        assert (numbers, refused) == (list(range(len(events))), [])
        for path in _PATHS:
            name = f"unmapped.source.{path}"
            known = column_of(frame.table.column(name).combine_chunks()) if name in frame.table.column_names else None
            found = [known.texts(row) if known else () for row in range(len(events))]
            # A float is read twice, so it is compared as it was written.
            assert found == [tuple(texts_at(msgspec.json.decode(msgspec.json.encode(e)), path)) for e in events]


def test_what_is_no_object_is_named_and_the_rest_is_read() -> None:
    """Bad lines of every kind between good ones, before and after the decoder knows the keys."""
    columns = JsonColumns(["a"], whole=True)
    lines = [
        b'{"a":1}',
        b"",
        b"[1]",
        b'{"a":',
        b"1}",
        b'{"b":"\xff"}',
        b'{"a":1} {"a":2}',
        b'{"a":"x","new":{}}',
        b"  ",
    ]
    for _ in range(2):
        frame, numbers, refused = columns.frame(lines)
        assert numbers == [0, 7]
        assert [each.line for each in refused] == [2, 3, 4, 5, 6]
        assert column_of(frame.table.column("unmapped.source.a").combine_chunks()).texts(1) == ("x",)
    assert frame.table.column("unmapped.source").to_pylist() == ['{"a":1}', '{"a":"x","new":{}}']


def test_objects_with_keys_without_end_are_read_too() -> None:
    """Keys that are data: no decoder is made for thousands of them."""
    columns = JsonColumns(["k5", "k5.x"], whole=False)
    lines = [msgspec.json.encode({f"k{number}": number, "k5": {"x": str(number)}}) for number in range(1_000)]
    for _ in range(2):
        frame, numbers, refused = columns.frame(lines)
        assert (len(numbers), refused) == (1_000, [])
        assert column_of(frame.table.column("unmapped.source.k5.x").combine_chunks()).texts(7) == ("7",)
