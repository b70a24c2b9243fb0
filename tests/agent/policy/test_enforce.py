"""A policy in force: what is delivered, what is lowered, and what is said of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.netlink import AuditReceiver
from tocsin.agent.audit.session import AuditSession
from tocsin.agent.capture import Capture
from tocsin.agent.config import BatchSettings, SpoolSettings
from tocsin.agent.deliver.batcher import Batcher
from tocsin.agent.deliver.spool import Spool
from tocsin.agent.host.enrich import Enricher
from tocsin.agent.host.processes import ProcessTable
from tocsin.agent.host.users import Users
from tocsin.agent.identity import Identity
from tocsin.agent.operate.health import Health
from tocsin.agent.policy.delivered import Delivered, Document, Follower
from tocsin.agent.policy.document import Policy
from tocsin.agent.policy.enforce import Enforcer
from tocsin.agent.policy.live import LivePolicy
from tocsin.agent.redact import Redactor
from tocsin.model.event import Event
from tocsin.model.wire import BatchHeader, decode_body, decode_envelope, decode_events

KEY = Ed25519PrivateKey.generate()


class Agent:
    """The agent without a kernel: a clock that the test moves, and as much processor time as it says."""

    def __init__(self, folder: Path) -> None:
        self.now_s = self.cpu_s = 0.0
        self.health, self.follower = Health("test"), Follower(folder)
        redactor = Redactor()
        self.capture = Capture(Enricher(ProcessTable(redactor.clean, "boot"), Users()), redactor, self.health)
        self.spool = Spool(folder / "spool", SpoolSettings(), Identity("", "acme", "a1"), KEY, "boot")
        self._batcher = Batcher(self.spool, KEY, BatchSettings(), {}, self.health)
        self._enforcer = Enforcer(
            LivePolicy(Policy(), salt="a1", uid_of=lambda _name: None),
            self.follower,
            self.capture,
            redactor,
            self._batcher,
            self.health,
            clock=lambda: self.now_s,
            cpu_s=lambda: self.cpu_s,
        )
        # One that listens beside auditd, which has no rules of its own to exchange.
        self._session = AuditSession(cast(AuditControl, None), cast(AuditReceiver, None), None, folder / "found")

    def live(self, seconds: int, percent: float) -> None:
        """Let time pass, using so much of the processor."""
        for _ in range(seconds):
            self.now_s += 1
            self.cpu_s += percent / 100
            self._enforcer.tick(self._session)

    def deliver(self, *policies: Document) -> None:
        name = ",".join(f"{each.name}@{each.version}" for each in policies)
        self.follower.hear(name)
        self.follower.delivered = Delivered(name, policies)
        self.live(1, 0)

    def connects(self, count: int) -> None:
        """So many connections, of which some are kept."""
        seen = [
            Event(4001, {"time": n, "activity_id": 1, "unmapped.audit.serial": n, "dst_endpoint.ip": "::1"})
            for n in range(count)
        ]
        self._batcher.add(self.capture.admit(seen))
        self._enforcer.lose_not_kept()

    def shipped(self) -> tuple[list[Event], list[BatchHeader]]:
        """What waits for the server."""
        self._batcher.flush()
        events: list[Event] = []
        headers: list[BatchHeader] = []
        while (waiting := self.spool.next(0)) is not None:
            envelope, header = decode_envelope(waiting[1])
            headers.append(header)
            for section in decode_body(envelope, header):
                events += decode_events(section)
            self.spool.acknowledge(header.epoch, header.sequence + 1)
        return events, headers

    @property
    def module(self) -> tuple[bool, str]:
        found = self.health.snapshot().modules["policy"]
        return found.healthy, found.reason


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    made.live(1, 0)
    yield made
    made.spool.close()


def test_what_is_lowered_is_said_counted_and_ended(agent: Agent) -> None:
    """In the status, as an event, in the batch by class; and when it is calm all is kept again."""
    assert (agent.module, agent.capture.gate) == ((True, "none from the server"), None)
    agent.live(62, 20)
    healthy, reason = agent.module
    assert healthy
    assert reason.startswith("none from the server; over 5 % of a core, step 1: keeps of network_activity 1 in 2")
    assert agent.health.snapshot().policy.cpu_step == 1
    agent.connects(1_000)
    events, headers = agent.shipped()
    (told,) = (event for event in events if event.values.get("metadata.event_code") == "CPU_LIMIT")
    assert "step 1" in str(told.values["message"])
    left_out = sum(header.not_kept.get("adaptive/4001", 0) for header in headers)
    assert 400 < left_out < 600
    assert len(events) - 1 == 1_000 - left_out
    assert agent.health.snapshot().counters["adaptive"] == left_out
    agent.live(120, 1)
    assert (agent.capture.gate, agent.module) == (None, (True, "none from the server"))


def test_a_policy_is_taken_refused_and_taken_again(agent: Agent) -> None:
    """Each time the status and an event say which; tags and counts are in the batches."""
    agent.deliver(Document("base", 1, "[exclude]\ncidr = ['::1/128']\n[tags]\nsite = 'a'\n"))
    agent.connects(10)
    agent.deliver(Document("base", 2, "[exclude]\nmoon = 1\n"))
    healthy, reason = agent.module
    assert not healthy
    assert reason == "base@2:2: exclude.moon is not known here; known are cidr, exe, path, user; base@1 stays"
    agent.connects(10)
    said = agent.health.snapshot().policy
    assert (said.wanted, said.applied) == ("base@2", "base@1")
    events, headers = agent.shipped()
    codes = [event.values["metadata.event_code"] for event in events]
    assert codes == ["POLICY_APPLIED", "POLICY_REFUSED"]
    assert sum(header.not_kept.get("excluded/4001", 0) for header in headers) == 20
    assert {event.values["metadata.tags"] for event in events} == {'[{"name":"site","value":"a"}]'}
    agent.deliver()
    agent.connects(10)
    assert len(agent.shipped()[0]) == 11
    assert agent.module == (True, "none from the server")
