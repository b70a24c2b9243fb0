"""Threat intelligence at work: feeds in the state, the detector's copy, and searches of history."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from event_frames import frames_of
from house import DAY, NOW, House
from intel.feeds import connection
from tocsin.intel.feeds import FeedRow, add, claim_due, one, remove
from tocsin.intel.hunts import Hunt, claim_hunt, hunts_of
from tocsin.intel.lookup import lookup
from tocsin.intel.update import Outcome, hide_again, update
from tocsin.model.errors import InvalidQuery, InvalidSetting, NotFound
from tocsin.model.finding import EVIDENCE_KEPT
from tocsin.state.engine import reading
from tocsin.state.life.suppressions import NewSuppression
from tocsin.state.life.suppressions import add as suppress
from tocsin.state.tables import alert, alert_event, intel_block, org
from tocsin.wiring.detection.listed import Listed
from tocsin.wiring.intel import Hunter

HUNT_MS = 3 * DAY


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with the org that its events belong to."""
    made = House(tmp_path)
    with made.state.begin() as connected:
        connected.execute(sa.insert(org).values(id="default", name="", created_at=0))
    yield made
    made.close()


def _row(name: str, location: Path, **known: object) -> FeedRow:
    values: dict[str, object] = {
        "org": "default",
        "name": name,
        "format": "list",
        "location": str(location),
        "level": "high",
        "every_ms": DAY,
        "created_at": NOW,
        "next_at": NOW,
    }
    return FeedRow(**(values | known))  # type: ignore[arg-type]  # the fields, by name


def _added(house: House, name: str, text: str, **known: object) -> Path:
    """A feed in a file, added and read."""
    path = house.folder / f"{name}.txt"
    path.write_text(text)
    with house.state.begin() as connected:
        add(connected, _row(name, path, **known))
    assert not _update(house, name).error
    return path


def _update(house: House, name: str) -> Outcome:
    with reading(house.state) as connected:
        feed = one(connected, "default", name)
    with httpx.Client() as client:
        return update(house.state, feed, client, house.clock.now_ms(), HUNT_MS)


def _one(house: House, name: str) -> FeedRow:
    with reading(house.state) as connected:
        return one(connected, "default", name)


def _found(listed: Listed, *addresses: str) -> list[str]:
    frames = frames_of([connection(address, NOW) for address in addresses], org="default")
    return [finding.group["indicator"] for finding in listed.findings(frames)]


def test_the_detector_takes_every_change(house: House) -> None:
    """A feed that is added, changed or removed is matched as it is now, without a restart."""
    listed = Listed(house.state)
    assert _found(listed, "198.51.1.7", "198.51.1.8") == []
    path = _added(house, "a", "198.51.1.7\n")
    listed.refresh()
    assert _found(listed, "198.51.1.7", "198.51.1.8") == ["198.51.1.7"]
    path.write_text("198.51.1.8\n198.51.1.0/30\n")
    assert _update(house, "a").new == 2
    listed.refresh()
    assert _found(listed, "198.51.1.7", "198.51.1.8", "198.51.1.1") == ["198.51.1.8", "198.51.1.0/30"]
    with house.state.begin() as connected:
        remove(connected, "default", "a")
    listed.refresh()
    assert _found(listed, "198.51.1.8") == []


def test_a_feed_that_fails_keeps_what_it_listed(house: House) -> None:
    """Gone or garbled, a feed keeps its indicators, their age, and the reason; the next try comes sooner."""
    path = _added(house, "a", "198.51.1.7\n")
    read_at = house.clock.now_ms()
    house.clock.ms += DAY
    for spoil in (path.unlink, lambda: path.write_text("nothing\nof it!\n")):
        spoil()
        outcome = _update(house, "a")
        feed = _one(house, "a")
        assert outcome.error == feed.error
        assert (feed.fetched_at, feed.tried_at, feed.version) == (read_at, read_at + DAY, 1)
        assert feed.next_at == house.clock.now_ms() + 3_600_000
        assert _found(Listed(house.state), "198.51.1.7") == ["198.51.1.7"]
    assert "nothing of it can be read as list: line 1" in str(_one(house, "a").error)
    path.write_text("198.51.1.7\n")
    assert not _update(house, "a").error
    assert _one(house, "a").error is None


def test_an_unchanged_feed_is_as_young_as_its_last_fetch(house: House) -> None:
    """Nothing new is no failure: the version stays, the age begins anew, and findings say so."""
    _added(house, "a", "198.51.1.7\n")
    listed = Listed(house.state)
    house.clock.ms += DAY
    assert _update(house, "a") == Outcome(changed=False, counts=_one(house, "a").counts)
    assert (_one(house, "a").version, _one(house, "a").fetched_at) == (1, NOW + DAY)
    listed.refresh()
    (finding,) = listed.findings(frames_of([connection("198.51.1.7", NOW + DAY)], org="default"))
    assert "feed 0.0 h old" in finding.met[0].term


def test_warning_lists_hide_and_show_again(house: House) -> None:
    """A list hides indicators of feeds added before and after it; removed, it hides nothing any more."""
    _added(house, "a", "198.51.1.7\n198.52.1.7\n")
    text = json.dumps({"name": "x", "type": "cidr", "list": ["198.51.0.0/16"]})
    _added(house, "cdn", text, format="warninglist", warns=True)
    _added(house, "b", "198.51.1.8\n")
    assert _one(house, "a").counts["hidden"] == _one(house, "b").counts["hidden"] == {"cdn": 1}
    assert _found(Listed(house.state), "198.51.1.7", "198.51.1.8", "198.52.1.7") == ["198.52.1.7"]
    with reading(house.state) as connected:
        (listed,), _ = lookup(connected, "default", "198.51.1.7")
    assert (listed.feed, listed.hidden) == ("a", "cdn")
    with house.state.begin() as connected:
        remove(connected, "default", "cdn")
    hide_again(house.state, "default")
    assert _found(Listed(house.state), "198.51.1.7", "198.51.1.8") == ["198.51.1.7", "198.51.1.8"]


def test_a_due_feed_is_claimed_once(house: House) -> None:
    """Of several servers one fetches; the claim ends by itself, and what is only read when asked for is never due."""
    _added(house, "a", "198.51.1.7\n")
    _added(house, "never", "198.51.1.7\n", every_ms=0)
    house.clock.ms += DAY
    with house.state.begin() as connected:
        claimed = claim_due(connected, house.clock.now_ms())
        assert claimed is not None
        assert claimed.name == "a"
        assert claim_due(connected, house.clock.now_ms()) is None
        assert claim_due(connected, house.clock.now_ms() + DAY) is not None


def test_of_two_that_read_a_feed_one_keeps_it(house: House) -> None:
    """Who was slower keeps nothing, so that no version has two contents; nor does one whose feed was removed."""
    _added(house, "a", "198.51.1.7\n")
    before = _one(house, "a")
    (house.folder / "a.txt").write_text("198.51.1.8\n")
    assert not _update(house, "a").error
    with httpx.Client() as client:
        late = update(house.state, before, client, NOW, HUNT_MS)
        assert "by another at the same time" in late.error
        with house.state.begin() as connected:
            remove(connected, "default", "a")
        assert "by another at the same time" in update(house.state, before, client, NOW, HUNT_MS).error
    assert house.rows(intel_block) == []


def test_names_are_taken_once(house: House) -> None:
    """A second feed of a name is refused, and a name that is not there is answered with those that are."""
    path = _added(house, "a", "198.51.1.7\n")
    with pytest.raises(InvalidSetting, match="there is a feed a already"), house.state.begin() as connected:
        add(connected, _row("a", path, org=""))
    with pytest.raises(NotFound, match="there is no feed b; there are a"):
        _one(house, "b")


def _hunt(house: House) -> Hunt | None:
    with house.state.begin() as connected:
        return claim_hunt(connected, house.clock.now_ms())


def _alerts(house: House) -> list[tuple[str, int, bool]]:
    columns = sa.select(alert.c.group, alert.c.event_count, alert.c.tags).order_by(alert.c.window_start, alert.c.id)
    with reading(house.state) as connected:
        return [(row.group["indicator"], row.event_count, "historic" in row.tags) for row in connected.execute(columns)]


def test_history_is_searched_once_for_what_is_new(house: House) -> None:
    """Events of the days before are found, newest first, marked, each once; what was listed before is not searched."""
    times = [NOW - 4 * DAY, NOW - 2 * DAY - 5, NOW - DAY, NOW - DAY + 1, NOW - 1_000]
    house.append_events(0, [connection("198.51.1.7", time) for time in times])
    house.append_events(1, [connection("198.51.1.8", NOW - 1_000), connection("198.51.1.9", NOW - 1_000)])
    path = _added(house, "a", "198.51.1.7\n")
    house.clock.ms += 6_000
    query, stop = house.query(), threading.Event()
    hunt = _hunt(house)
    assert hunt is not None
    assert _hunt(house) is None
    reached = list(Hunter(house.state, query, house.clock).search(hunt, stop))
    assert [each.found for each in reached] == sorted(each.found for each in reached)
    assert (reached[-1].done, reached[-1].found, reached[-1].share) == (True, 4, 1.0)
    expected = [("198.51.1.7", 1, True), ("198.51.1.7", 3, True)]
    assert _alerts(house) == expected

    # The same search again adds nothing, and the next one is only for what came since.
    list(Hunter(house.state, query, house.clock).search(hunt, stop))
    assert _alerts(house) == expected
    path.write_text("198.51.1.7\n198.51.1.8\n")
    house.clock.ms += DAY
    assert _update(house, "a").new == 1
    house.clock.ms += 6_000
    later = _hunt(house)
    assert later is not None
    assert list(Hunter(house.state, query, house.clock).search(later, stop))[-1].found == 1
    with reading(house.state) as connected:
        assert len(connected.execute(sa.select(alert_event)).all()) == 5
        assert [hunt.done for hunt in hunts_of(connected)] == [True]
        _, (seen,) = lookup(connected, "default", "198.51.1.7")
        with pytest.raises(InvalidQuery, match=r"'\?' is no address"):
            lookup(connected, "default", "?")
    assert (seen.events, seen.alerts, seen.last_at) == (4, 2, NOW - 1_000)


def test_suppressions_hide_what_history_has(house: House) -> None:
    """What people have said that they do not want to hear of is not told when it is found in history, however often."""
    house.append_events(0, [connection("198.51.1.7", NOW - 1_000 - n) for n in range(EVIDENCE_KEPT + 9)])
    with house.state.begin() as connected:
        hide = NewSuppression("dst_endpoint.ip = '198.51.1.7'", "me", "a test", NOW + DAY, "intel:ip")
        hidden = suppress(connected, "default", hide, "me", NOW)
    _added(house, "a", "198.51.1.7\n")
    house.clock.ms += 6_000
    hunt = _hunt(house)
    assert hunt is not None
    list(Hunter(house.state, house.query(), house.clock).search(hunt, threading.Event()))
    with reading(house.state) as connected:
        found = connected.execute(sa.select(alert.c.suppressed_by, alert.c.event_count)).all()
    assert [tuple(each) for each in found] == [(hidden.id, EVIDENCE_KEPT + 9)]


def test_a_search_that_is_interrupted_goes_on(house: House) -> None:
    """What one process has searched is kept with its alerts: the next goes on from there, and the whole is the same."""
    house.append_events(0, [connection("198.51.1.7", NOW - day * DAY - 5) for day in range(3)])
    _added(house, "a", "198.51.1.7\n")
    house.clock.ms += 6_000
    query, stop = house.query(), threading.Event()
    hunt = _hunt(house)
    assert hunt is not None
    next(Hunter(house.state, query, house.clock).search(hunt, stop))
    house.clock.ms += 600_001  # the claim of the process that died has ended
    again = _hunt(house)
    assert again is not None
    assert hunt.since < again.searched_to < hunt.until
    assert list(Hunter(house.state, query, house.clock).search(again, stop))[-1].done
    assert _alerts(house) == [("198.51.1.7", 1, True)] * 3


def test_a_search_stops_when_told_to(house: House) -> None:
    """A server that stops does not wait for a search."""
    _added(house, "a", "198.51.1.7\n")
    house.clock.ms += 6_000
    hunt, stop = _hunt(house), threading.Event()
    stop.set()
    assert hunt is not None
    assert list(Hunter(house.state, house.query(), house.clock).search(hunt, stop)) == []
