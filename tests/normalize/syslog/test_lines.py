"""Heads of syslog lines: their forms, times without year or zone, and what has no known form."""

from __future__ import annotations

import datetime as dt
import time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.event import Event
from tocsin.model.schema import CLASSES
from tocsin.normalize.syslog import read_events

WRITTEN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def _read(*lines: str, written: dt.datetime = WRITTEN, zone: dt.tzinfo = dt.UTC) -> list[Event]:
    encoded = [line.encode() for line in lines]
    return list(read_events(encoded, before_ms=int(written.timestamp() * 1000), zone=zone))


def _time(line: str, written: dt.datetime = WRITTEN, zone: dt.tzinfo = dt.UTC) -> dt.datetime:
    (event,) = _read(line, written=written, zone=zone)
    return dt.datetime.fromtimestamp(int(event.values["time"]) / 1000, dt.UTC)


@pytest.mark.parametrize(
    "head",
    [
        "Jan  2 03:04:05 web1 app[7]: ",
        "<38>Jan  2 03:04:05 web1 app[7]: ",
        "Jan 02 03:04:05.000 web1 app[7]: ",
        "2026-01-02T03:04:05+00:00 web1 app[7]: ",
        "2026-01-02T03:04:05.000000Z web1 app[7]: ",
        "2026-01-02T04:04:05+0100 web1 app[7]: ",
        "<38>1 2026-01-02T03:04:05Z web1 app 7 - - ",
        '<38>1 2026-01-02T03:04:05Z web1 app 7 ID1 [a@1 k="v \\] x"][b@1] ',
    ],
)
def test_every_form_of_a_head_says_the_same(head: str) -> None:
    """Time, machine, program, process and text, whoever wrote the line."""
    (event,) = _read(head + "it went well: 5")
    assert event.values["time"] == int(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC).timestamp() * 1000)
    assert event.values["device.hostname"] == "web1"
    assert event.values["metadata.log_provider"] == event.values["actor.process.name"] == "app"
    assert event.values["actor.process.pid"] == 7
    assert event.values["message"] == "it went well: 5"


def test_the_priority_names_facility_and_severity() -> None:
    """34 is auth, critical; a number that is no priority says nothing."""
    critical, none = _read("<34>Jan  2 03:04:05 h su: x", "<999>Jan  2 03:04:05 h su: x")
    assert (critical.values["metadata.log_source"], critical.values["severity_id"]) == ("auth", 5)
    assert ("metadata.log_source" in none.values, none.values["severity_id"]) == (False, 1)


@pytest.mark.parametrize(
    ("line", "written", "expected"),
    [
        ("Mar  1 11:00:00", WRITTEN, 2026),
        ("Mar  2 11:00:00", WRITTEN, 2026),  # a clock, or a zone, that is ahead by less than a day
        ("Mar  3 11:00:00", WRITTEN, 2025),
        ("Dec 31 23:59:59", WRITTEN, 2025),
        ("Dec 31 23:59:59", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 2025),
        ("Jan  1 00:00:01", dt.datetime(2025, 12, 31, 23, 59, 59, tzinfo=dt.UTC), 2026),
        ("Feb 29 10:00:00", WRITTEN, 2024),
        ("Feb 29 10:00:00", dt.datetime(2103, 1, 1, tzinfo=dt.UTC), 2096),
    ],
)
def test_a_time_without_a_year_gets_the_latest_that_can_be(line: str, written: dt.datetime, expected: int) -> None:
    """Never more than a day after the file was written; 2100 has no 29th of February."""
    assert _time(f"{line} h p: x", written).year == expected


def test_a_time_without_a_zone_is_of_the_given_one() -> None:
    """Summer and winter; a time that names its zone keeps it."""
    berlin = ZoneInfo("Europe/Berlin")
    assert _time("Jan  2 03:04:05 h p: x", zone=berlin).hour == 2
    assert _time("Jul  2 03:04:05 h p: x", zone=berlin).hour == 1
    assert _time("2026-01-02T03:04:05Z h p: x", zone=berlin).hour == 3


def test_no_line_is_lost() -> None:
    """A line of no known form is an event with its text, at the time of the line before it; blank lines are none."""
    first, trace, impossible, last = _read(
        "Jan  2 03:04:05 h java: failed",
        "\tat java.lang.Thread.run",
        "",
        "Feb 30 03:04:05 h p: x",
        "Jan  2 03:04:06 h java: x",
    )
    assert (trace.class_uid, trace.values["message"]) == (0, "\tat java.lang.Thread.run")
    assert first.values["time"] == trace.values["time"] == impossible.values["time"]
    assert last.values["time"] == int(first.values["time"]) + 1000


def test_the_journals_export_is_read_and_other_objects_are_kept() -> None:
    """MESSAGE may be a list of bytes; an object of another kind is a line like any other."""
    entry = '{"__REALTIME_TIMESTAMP":"1767323045678901","_HOSTNAME":"h","_COMM":"p","MESSAGE":[104,105,255]}'
    bytes_, other, broken = _read(entry, '{"a": 1}', '{"__REALTIME_TIMESTAMP":')
    assert (bytes_.values["time"], bytes_.values["message"]) == (1767323045678, "hi\\xff")
    assert [event.values["message"] for event in (other, broken)] == ['{"a": 1}', '{"__REALTIME_TIMESTAMP":']


def test_sudo_tells_who_became_whom() -> None:
    """An account switch; what sudo says of the command is the original."""
    (event,) = _read("Jan  2 03:04:05 h sudo:   bob : TTY=pts/0 ; PWD=/tmp ; USER=#-1 ; COMMAND=/bin/sh -c a ; USER=b")
    assert (event.class_uid, event.values["activity_id"]) == (3002, 7)
    assert (event.values["actor.user.name"], event.values["user.name"]) == ("bob", "#-1")
    assert (
        event.values["unmapped.source"] == '{"TTY":"pts/0","PWD":"/tmp","USER":"#-1","COMMAND":"/bin/sh -c a ; USER=b"}'
    )


def test_a_user_name_cannot_forge_an_address() -> None:
    """Who logs in as `x from 10.0.0.1 port 1` comes from where sshd says, which is the end of the line."""
    name = "x from 10.0.0.1 port 1 ssh2"
    (event,) = _read(f"Jan  2 03:04:05 h sshd[1]: Failed password for invalid user {name} from 203.0.113.7 port 2 ssh2")
    assert event.values["user.name"] == name
    assert event.values["src_endpoint.ip"] == "203.0.113.7"


_HEADS = [
    "",
    "Jan  2 03:04:05 h sshd[1]: ",
    "<13>1 2026-01-02T03:04:05Z h sudo 1 - - ",
    "Jan  2 03:04:05 h useradd: ",
    "{",
]
_WORDS = ["Accepted ", "password for ", "user ", "from ", "port ", "99999999999999999999 ", "USER=", " ; ", '"']
_LINES = st.builds(
    lambda head, words, rest: head.encode() + "".join(words).encode() + rest.replace(b"\n", b""),
    st.sampled_from(_HEADS),
    st.lists(st.sampled_from(_WORDS), max_size=12),
    st.binary(max_size=40),
)


@given(st.lists(_LINES, max_size=4))
def test_any_bytes_become_events_with_attributes_of_their_class(lines: list[bytes]) -> None:
    """No line crashes the reader or is lost, and what is filled exists."""
    events = list(read_events(lines, before_ms=int(WRITTEN.timestamp() * 1000)))
    assert len(events) == sum(bool(line.decode("utf-8", "backslashreplace").strip()) for line in lines)
    for event in events:
        assert event.values.keys() <= CLASSES[event.class_uid].paths


_HEAD = "Jan  2 03:04:05 h "


@pytest.mark.parametrize(
    "line",
    [
        _HEAD + "sudo: a : " + "b ; " * 15_000,
        _HEAD + "sudo: a : PWD=x" + " ; USER=" * 8_000,
        _HEAD + "sshd[1]: Failed password for " + "x from " * 9_000,
        _HEAD + "sshd[1]: Connection closed by invalid user " + "a 1 port " * 7_000,
        _HEAD + "CRON[1]: (root) CMD (" + ")  " * 20_000 + "x",
        _HEAD + "kernel: " + "block drop deny reject " * 3_000,
        _HEAD + "kernel: [1.1] " + "[DROP" * 12_000,
        _HEAD + "x: pam_unix(a:auth): " + "for user " * 7_000 + "(",
        "1.1.1.1 - " + "a " * 30_000 + "[",
        '1.1.1.1 - - [02/Jan/2026:03:04:05 +0100] "' + '\\"' * 30_000,
        "<13>1 2026-01-02T03:04:05Z h a 1 - " + '[a b="c"]' * 7_000,
    ],
    ids=lambda line: line[18:50],
)
def test_no_line_takes_long(line: str) -> None:
    """Patterns do not backtrack without end: 60 KB that nearly fit cost what 60 KB may cost."""
    began = time.process_time()
    assert len(_read(line)) == 1
    assert time.process_time() - began < 0.5
