"""Events at hand are judged as if they had come in batches."""

from __future__ import annotations

from tocsin.columnar.frame import event_at
from tocsin.detect.history.replay import frames_of
from tocsin.model.event import Event, Value


def test_what_events_share_is_in_each_of_them() -> None:
    """Shared attributes are columns like any other, over all rows."""
    shared: dict[str, Value] = {"actor.process.name": "sh", "actor.process.pid": 7}
    events = [Event(4001, {"time": number}, (), shared if number else {}) for number in range(3)]
    frame = frames_of(events, org="o", origin="h")[4001]
    read = [event_at(frame, row).values for row in range(3)]
    assert [values.get("actor.process.name") for values in read] == [None, "sh", "sh"]
    assert [values.get("actor.process.pid") for values in read] == [None, 7, 7]
