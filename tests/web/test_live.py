"""The stream behind the live queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

import sample_intrusion
from console import ORG, Console
from tocsin.alert.change import acknowledge
from tocsin.alert.read import Filter
from tocsin.alert.record import record
from tocsin.api.auth import identify, log_out
from tocsin.state.tables import alert
from tocsin.web.live import _Feed
from tocsin.web.page import Pages


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A console over an empty state."""
    made = Console(tmp_path)
    yield made
    made.close()


def _feed(console: Console, wanted: Filter) -> _Feed:
    token = console.owner()
    with console.engine.connect() as connection:
        caller = identify(connection, token, console.clock.now_ms())
    assert caller is not None
    return _Feed(Pages(console.backend), caller, wanted, console.clock.now_ms())


def _told(news: str) -> list[tuple[str, dict[str, object]]]:
    """Kind and content of each message."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in news.split("\n\n") if block]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


def test_each_change_is_told_once(console: Console) -> None:
    """A new alert is told with its row and the counts; then silence; a change is told again."""
    feed = _feed(console, Filter(status="open"))
    assert feed.news() == ""
    (key,) = console.record(sample_intrusion.findings(console.clock.now_ms())[-1:])
    (kind, said), (_, counts) = _told(feed.news())
    assert (kind, said["id"], said["matches"]) == ("alert", key, True)
    assert f'data-id="{key}"' in str(said["html"])
    assert counts == {"open": 1, "acknowledged": 0, "closed": 0, "all": 1, "nav": 1}
    assert feed.news() == ""
    with console.engine.begin() as connection:
        acknowledge(connection, ORG, key, "ada", console.clock.now_ms() + 1)
    (_, said), (_, counts) = _told(feed.news())
    assert said["matches"] is False
    assert (counts["open"], counts["acknowledged"]) == (0, 1)


def test_what_commits_late_is_told_too(console: Console) -> None:
    """A transaction that began earlier and committed later is not passed over."""
    feed = _feed(console, Filter())
    one = sample_intrusion.findings(console.clock.now_ms())[-1]
    now = console.clock.now_ms()
    with console.engine.begin() as connection:
        record(connection, [one], now + 1_000)
    assert len(_told(feed.news())) == 2
    with console.engine.begin() as connection:
        (late,) = record(connection, [msgspec.structs.replace(one, rule_id="late")], now - 500).changed
    assert [said["id"] for kind, said in _told(feed.news()) if kind == "alert"] == [late]
    assert feed.news() == ""


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(level="critical"), False),
        (Filter(text="WEB-1"), True),
        (Filter(text="elsewhere"), False),
        (Filter(status="closed"), False),
        (Filter(), True),
    ],
)
def test_only_what_the_page_asked_for_matches(console: Console, wanted: Filter, matches: bool) -> None:  # noqa: FBT001
    """The page's filter decides whether a new row belongs on it."""
    feed = _feed(console, wanted)
    medium = next(f for f in sample_intrusion.findings(console.clock.now_ms()) if f.level == "medium")
    console.record([medium])
    assert _told(feed.news())[0][1]["matches"] is matches


def test_other_orgs_are_not_told(console: Console) -> None:
    """An alert of another org never reaches the stream."""
    feed = _feed(console, Filter())
    one = sample_intrusion.findings(console.clock.now_ms())[-1]
    console.record([msgspec.structs.replace(one, org="other")])
    with console.engine.connect() as connection:
        assert connection.scalars(sa.select(alert.c.org)).all() == ["other"]
    assert feed.news() == ""


def test_the_stream_ends_with_the_session(console: Console) -> None:
    """Whoever logs out hears nothing more."""
    feed = _feed(console, Filter())
    assert feed.still_logged_in()
    with console.engine.begin() as connection:
        log_out(connection, feed._caller.token)
    assert not feed.still_logged_in()
