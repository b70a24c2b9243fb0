"""Retro-hunts over files and hot rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from house import NOW, House, drain
from tocsin.adapters.lake_sink import FlushWhen
from tocsin.conditions.parse_sql import parse_filter
from tocsin.detect.history.scan import Period
from tocsin.intel.indicator import Indicator
from tocsin.intel.value import guess
from tocsin.model.event import Event
from tocsin.wiring.stored.history import History
from tocsin.wiring.stored.hunt import Hunted, hunt_expression, hunt_indicators

PERIOD = Period(NOW - 1_000, NOW + 1_000)
EVENTS = [
    Event(4001, {"time": NOW, "device.hostname": "web-1", "dst_endpoint.ip": "198.51.100.23"}),
    Event(4001, {"time": NOW + 1, "device.hostname": "web-2", "dst_endpoint.ip": "198.51.100.99"}),
    Event(4003, {"time": NOW + 2, "device.hostname": "web-1", "query.hostname": "cdn.evil.example"}),
    Event(1007, {"time": NOW + 3, "device.hostname": "web-3", "process.cmd_line": "curl http://evil.example/k"}),
    Event(1007, {"time": NOW + 4, "device.hostname": "web-3", "process.cmd_line": "ls"}),
]


@pytest.fixture(params=["files", "hot", "half"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """The events in files, in the log's tail, or some here and some there."""
    house = House(tmp_path)
    for number, event in enumerate(EVENTS):
        house.append_events(number, [event])
        if request.param == "files" or (request.param == "half" and number == 2):
            sink = house.lake_sink(FlushWhen(rows=1))
            drain(house.runner(sink))
            sink.flush()
    yield History(house.query(), "default")
    house.close()


def _quiet(_done: int, _total: int) -> None:
    pass


def _indicators(history: History, *values: str) -> Hunted:
    return hunt_indicators(history, [Indicator(*guess(value)) for value in values], PERIOD, _quiet)


def test_an_expression_is_looked_for_in_all_classes(history: History) -> None:
    """Hits of several classes are counted by host, and the newest come first."""
    where = "dst_endpoint.ip = '198.51.100.23' OR contains(process.cmd_line, 'evil')"
    found = hunt_expression(history, parse_filter(where), PERIOD, _quiet)
    assert (found.judged, found.hits) == (5, 2)
    assert dict(found.hosts) == {"web-1": 1, "web-3": 1}
    assert [day.hits for day in found.days if day.hits] == [2]
    assert found.newest == sorted(found.newest, reverse=True)


def test_many_indicators_are_looked_for_at_once(history: History) -> None:
    """Networks hold their addresses, domains what is below them, URLs are found in commands; all in one pass."""
    found = _indicators(history, "198.51.100.0/25", "evil.example", "http://evil.example/k")
    assert found.hits == 5
    assert dict(found.indicators) == {"198.51.100.0/25": 2, "evil.example": 2, "http://evil.example/k": 1}
    assert len(found.newest) == 4


def test_nothing_found_is_an_answer(history: History) -> None:
    """What is nowhere has no hits; the time asked for is kept to."""
    assert _indicators(history, "203.0.113.7").hits == 0
    narrow = Period(NOW + 1, NOW + 2)
    assert hunt_indicators(history, [Indicator(*guess("198.51.100.0/24"))], narrow, _quiet).hits == 1
