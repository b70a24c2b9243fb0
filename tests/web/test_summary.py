"""One event in one line."""

from __future__ import annotations

import pytest

import sample_intrusion
from tocsin.model.event import Event, nest
from tocsin.model.schema import CLASSES
from tocsin.web.summary import glimpse, summary

START = 1_790_000_000_000


def test_the_sample_reads_like_a_story() -> None:
    """Launches show the command line, connections where to, files their path, logins who and from where."""
    told = {(s.kind, s.actor, s.said) for s in (summary(nest(event)) for event in sample_intrusion.events(START))}
    assert {
        ("Process", "apache2", "sh -c id; uname -a; cat /etc/passwd"),
        ("Network", "curl", "169.254.169.254:80"),
        ("File", "crontab", "/var/spool/cron/crontabs/www-data"),
        ("Login", "sshd", "root from 203.0.113.9 through sshd"),
    } <= told


def test_a_failure_is_told() -> None:
    """A refused login is marked as failed, with the user it was about."""
    line = summary(nest(sample_intrusion.failed_login("203.0.113.9", "root", START, 1)))
    assert (line.failed, line.user, line.hostname, line.activity) == (True, "root", "bastion-2", "Logon")


@pytest.mark.parametrize("class_uid", list(CLASSES))
def test_every_class_has_a_line(class_uid: int) -> None:
    """Even an event that says nothing but its class and time gets a kind and a text."""
    line = summary(nest(Event(class_uid, {"time": START})))
    assert line.kind
    assert line.said


def test_addresses() -> None:
    """IPv6 is bracketed before a port; a socket path stands alone."""
    event = Event(4001, {"time": START, "dst_endpoint.ip": "2001:db8::1", "dst_endpoint.port": 443})
    assert summary(nest(event)).said == "[2001:db8::1]:443"
    assert summary(nest(Event(4001, {"time": START, "dst_endpoint.svc_name": "/run/x.sock"}))).said == "/run/x.sock"


def test_a_glimpse_shows_the_lineage() -> None:
    """A process's row shows what led to it, below init; another event's row shows what happened."""
    launched = nest(sample_intrusion.launch(sample_intrusion.METADATA, START, 1))
    assert glimpse(launched) == "apache2 \u203a dash \u203a .k \u203a bash \u203a curl"
    deep = sample_intrusion.METADATA
    for n in range(5):
        deep = sample_intrusion.Proc(900 + n, f"/bin/p{n}", "p", deep)
    told = glimpse(nest(sample_intrusion.launch(deep, START, 1)))
    assert told == "apache2 \u203a dash \u203a \u2026 \u203a p2 \u203a p3 \u203a p4"
    refused = nest(sample_intrusion.failed_login("203.0.113.9", "root", START, 1))
    assert glimpse(refused) == "root from 203.0.113.9 through sshd"
    assert glimpse({}) == ""
