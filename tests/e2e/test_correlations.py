"""Correlations through the real server: text of sshd in, one alert at a real webhook out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from sending import Sender
from tocsin.normalize import syslog
from tocsin.testing import Installation, Received, installed, wait_for

pytestmark = pytest.mark.slow

WITHIN_S = 60.0
GUESSED, REFUSED = "55555555-0000-4000-8000-000000000004", "55555555-0000-4000-8000-000000000005:threshold"
RULES = """
title: Failed SSH login
name: failed_login
id: 55555555-0000-4000-8000-000000000001
logsource: {product: linux, service: sshd}
detection: {keywords: [Failed password], condition: keywords}
level: low
---
title: SSH login
name: login
id: 55555555-0000-4000-8000-000000000002
logsource: {product: linux, service: sshd}
detection: {keywords: [Accepted password], condition: keywords}
level: informational
---
title: Many failed SSH logins
name: many_failed
id: 55555555-0000-4000-8000-000000000003
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [src_endpoint.ip, user.name]
  timespan: 10m
  condition: {gte: 5}
level: medium
---
title: SSH password guessed
id: 55555555-0000-4000-8000-000000000004
correlation:
  type: temporal_ordered
  rules: [many_failed, login]
  group-by: [src_endpoint.ip, user.name]
  timespan: 10m
level: high
tags: [attack.credential-access, attack.t1110.001]
tocsin: {title: "SSH password of {{user.name}} guessed from {{src_endpoint.ip}}"}
---
title: Unknown users tried
id: 55555555-0000-4000-8000-000000000005
logsource: {product: linux, service: sshd}
detection: {keywords: [Invalid user], condition: keywords}
level: medium
tocsin: {threshold: 3, window: 10m, group_by: [src_endpoint.ip]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A whole installation with these rules alone."""
    folder = tmp_path_factory.mktemp("correlations")
    (folder / "rules.yml").write_text(RULES)
    with installed(folder, "--no-agent", settings=f'rules = ["{folder / "rules.yml"}"]\nrulesets = []\n') as running:
        yield running


def _send(server: Installation, *said: str) -> None:
    """What sshd says, a line each, as a host ships it."""
    now = time.time_ns() // 1_000_000
    stamp = time.strftime("%b %e %H:%M:%S", time.gmtime(now / 1000))
    lines = [f"{stamp} web-1 sshd[{812 + number}]: {text}".encode() for number, text in enumerate(said)]
    events = list(syslog.read_events(lines, before_ms=now))
    for number, event in enumerate(events):
        event.values["time"] = now - 10 * (len(events) - number)
    Sender(server.data_dir, urlsplit(server.url).port or 0, "web-1").send(events)


def _alert(server: Installation, rule_id: str) -> Received:
    wait_for(lambda: server.receiver.alerts(rule_id), WITHIN_S, f"the alert of {rule_id}")
    return server.receiver.alerts(rule_id)[0]


def test_guessing_that_succeeds_is_one_alert_with_its_evidence(server: Installation) -> None:
    """Six failed logins and a login from one address: one alert names both and holds all seven, members stay silent."""
    failed = [f"Failed password for root from 192.0.2.7 port {51234 + number} ssh2" for number in range(6)]
    other = [f"Failed password for root from 192.0.2.8 port {51234 + number} ssh2" for number in range(4)]
    accepted = "Accepted password for root from 192.0.2.7 port 51240 ssh2"
    _send(server, *failed, *other, accepted)
    alert = _alert(server, GUESSED)
    assert alert.data["alert"]["title"] == "SSH password of root guessed from 192.0.2.7"
    assert alert.data["alert"]["level"] == "high"
    assert alert.data["alert"]["event_count"] == 7
    assert {event["event"]["message"] for event in alert.data["events"]} == {*failed, accepted}
    last = max(event["event"]["time"] for event in alert.data["events"])
    assert alert.at_ms - last < 10_000
    assert {one.data["alert"]["rule"]["id"] for one in server.receiver.received} == {GUESSED}


def test_a_threshold_in_the_rule_itself(server: Installation) -> None:
    """Two unknown users are no alert yet; the third makes one of all three."""
    tried = [f"Invalid user {name} from 192.0.2.9 port 40000" for name in ("oracle", "git", "test")]
    _send(server, *tried[:2])
    _send(server, tried[2])
    alert = _alert(server, REFUSED)
    assert alert.data["alert"]["title"] == "Unknown users tried"
    assert alert.data["alert"]["group"] == {"src_endpoint.ip": "192.0.2.9"}
    assert alert.data["alert"]["event_count"] == 3
