"""What policies would have kept of what is stored: the same as the agents' own gates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stored_events import StoredEvents
from tocsin.detect.history.scan import Period
from tocsin.model.event import Event, Value
from tocsin.state.engine import open_state
from tocsin.state.policies import PolicyVersion
from tocsin.wiring.policy.explain import Explained, OfClass, explain_policies
from tocsin.wiring.stored.history import History

ORG, START, RSYNC = "acme", 1_760_000_000_000, "/usr/bin/rsync"
PERIOD = Period(START, START + 3_600_000)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[StoredEvents]:
    """An empty store."""
    engine = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    made = StoredEvents(tmp_path, engine, ORG)
    yield made
    made.close()
    engine.dispose()


def event(class_uid: int, number: int, agent: str = "web", **values: Value) -> Event:
    named: dict[str, Value] = {path.replace("__", "."): value for path, value in values.items()}
    base: dict[str, Value] = {"time": START + number, "unmapped.audit.serial": number, "device.uid": agent}
    return Event(class_uid, base | {"activity_id": 1} | named)


def policy(name: str, content: str, *agents: dict[str, str]) -> PolicyVersion:
    return PolicyVersion(name, content, list(agents), version=1, author="ada", created_at=1)


def explained(stored: StoredEvents, *policies: PolicyVersion) -> Explained:
    tags = {"web": {"role": "web"}}
    return explain_policies(History(stored.query, ORG), policies, tags, PERIOD, lambda _done, _total: None)


def test_every_event_is_accounted_for_by_class_and_reason(stored: StoredEvents) -> None:
    """Kept, protected, excluded, sampled and beyond the rate add up; what is excluded most is named."""
    made = [event(4001, n, actor__process__file__path=RSYNC, dst_endpoint__ip="10.0.0.1") for n in range(30)]
    made += [event(4001, n, dst_endpoint__ip="10.0.0.2") for n in range(100, 200)]
    made += [event(1007, n, process__pid=n, process__file__path=RSYNC) for n in range(300, 310)]
    made += [event(1007, 400, process__pid=1, process__file__path=RSYNC, process__session__terminal="pts0")]
    made += [event(3002, 500, user__name="ada")]
    stored.add(made)
    said = f"[exclude]\nexe = ['{RSYNC}']\n[events.network_activity]\nmax_per_second = 40\n"
    found = explained(stored, policy("base", said))
    by_name = {each.class_name: each for each in found.classes}
    none = {"excluded": 0, "sampled": 0, "rate_limited": 0}
    # A bucketful of 40, and what it fills up in the tenth of a second that the hundred take.
    network = OfClass("network_activity", 130, 43, 0, none | {"excluded": 30, "rate_limited": 57})
    assert by_name["network_activity"] == network
    assert by_name["process_activity"] == OfClass("process_activity", 11, 1, 1, none | {"excluded": 10})
    assert by_name["authentication"] == OfClass("authentication", 1, 1, 1, none)
    assert found.excluded == [(RSYNC, 40)]
    assert (found.events, found.kept) == (142, 45)


def test_a_policy_counts_for_the_agents_that_it_is_meant_for(stored: StoredEvents) -> None:
    """By tags; without a policy all is kept, and outside of the period nothing is looked at."""
    stored.add(event(4001, n, agent, dst_endpoint__ip="10.0.0.2") for n in range(10) for agent in ("web", "db"))
    stored.add([event(4001, 3_600_000, dst_endpoint__ip="10.0.0.2")])
    network = policy("web", "[exclude]\ncidr = ['10.0.0.0/8']\n", {"role": "web"})
    assert [(each.events, each.kept) for each in explained(stored, network).classes] == [(20, 10)]
    assert [(each.events, each.kept) for each in explained(stored).classes] == [(20, 20)]
