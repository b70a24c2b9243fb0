"""Objects of any product: kept whole, timed if they say when, found by the rules of their product alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocsf_schema import problems
from tocsin.model.event import Event, RefusedLine
from tocsin.normalize import objects

NOW = 1_767_323_045_678


def _event(nested: dict[str, object]) -> Event:
    (event,) = objects.read_events([json.dumps(nested).encode()], now_ms=NOW)
    assert isinstance(event, Event)
    return event


@pytest.mark.parametrize(
    ("nested", "time"),
    [
        ({"published": "2026-01-02T03:04:05.678Z"}, NOW),
        ({"ts": 1767323045.678}, NOW),
        ({"timestamp": 1767323045678}, NOW),
        ({"time": "soon"}, NOW),
        ({"time": True}, NOW),
        ({"time": -1}, NOW),
        ({}, NOW),
        ({"created_at": "2026-01-02T03:04:05+01:00"}, 1767319445000),
    ],
)
def test_when_an_object_happened(nested: dict[str, object], time: int) -> None:
    """By the usual names, as text, seconds or milliseconds; else when it was read."""
    event = _event(nested)
    assert event.values["time"] == time
    assert problems(event) == []


def test_keys_with_dots_are_paths() -> None:
    """As Zeek writes them; a key that would run through a value stays as it is."""
    event = _event({"id.orig_h": "10.0.0.1", "id.resp_h": "10.0.0.2", "a": 1, "a.b": 2})
    assert json.loads(str(event.values["unmapped.source"])) == {
        "id": {"orig_h": "10.0.0.1", "resp_h": "10.0.0.2"},
        "a": 1,
        "a.b": 2,
    }


def test_wrappers_are_opened() -> None:
    """What APIs return: a list under a usual name, beside little else."""
    lines = [json.dumps({"value": [{"a": 1}, {"a": 2}], "@odata.nextLink": "x"}).encode()]
    assert len(list(objects.read_events(lines, now_ms=NOW))) == 2
    assert len(list(objects.read_events([b'{"items": [1], "a": 1, "b": 2, "c": 3}'], now_ms=NOW))) == 1


@given(st.lists(st.binary(max_size=60) | st.just(b'{"a.b.c": {"time": []}}') | st.just(b"[{}, 7]"), max_size=5))
def test_any_bytes_are_events_or_named(lines: list[bytes]) -> None:
    """No line crashes the reader; what is no object is refused with a reason."""
    for item in objects.read_events([b"{}", *lines], now_ms=NOW):
        assert isinstance(item, Event) or (isinstance(item, RefusedLine) and item.reason)
