"""Agents hear which policies they are to apply, and get them when they ask."""

from __future__ import annotations

import msgspec
import pytest

from ingest.conftest import Sender, Server
from tocsin.ingest import policies as delivering
from tocsin.model.event import Event
from tocsin.state.life.tags import tag_agent
from tocsin.state.policies import NewPolicy, add_policies

BASE, WEB = "[limit]\ncpu_percent = 3\n", "[exclude]\nexe = ['/bin/a']\n"


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the second that passes between two looks."""
    monkeypatch.setattr(delivering, "_EVERY_S", 0.0)


def _add(server: Server, *new: NewPolicy) -> None:
    with server.engine.begin() as connection:
        add_policies(connection, "default", new, "ada", 1)


def _tag(server: Server, sender: Sender, **tags: str) -> None:
    with server.engine.begin() as connection:
        tag_agent(connection, "default", sender.position.agent, tags, (), 1)


def _ask(server: Server, sender: Sender, known: str = "") -> dict[str, object]:
    body: dict[str, object] = {"name": known}
    answer = server.client.post("/ingest/policy", content=msgspec.json.encode(body), headers=sender.health(body))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_every_answer_names_what_is_wanted(server: Server, sender: Sender) -> None:
    """In the receipt of a batch and in the answer to a report; the most general comes first."""
    _add(server, NewPolicy("web", WEB, [{"role": "web"}]), NewPolicy("zero", BASE), NewPolicy("db", BASE, [{"a": "b"}]))
    receipt = server.client.post("/ingest/batch", content=sender.seal(Event(1007, {"time": 1})))
    assert receipt.json()["policy"] == "zero@1"
    _tag(server, sender, role="web")
    report: dict[str, object] = {"modules": {}}
    said = server.client.post("/ingest/health", content=msgspec.json.encode(report), headers=sender.health(report))
    assert said.json()["policy"] == "zero@1,web@1"


def test_an_agent_gets_what_it_does_not_have(server: Server, sender: Sender) -> None:
    """All policies that are meant for it, or none if it has them; a removed one is no longer wanted."""
    assert _ask(server, sender) == {"name": "", "policies": []}
    _add(server, NewPolicy("base", BASE))
    _add(server, NewPolicy("base", WEB), NewPolicy("db", BASE, [{"role": "db"}]))
    wanted = {"name": "base", "version": 2, "content": WEB}
    assert _ask(server, sender) == {"name": "base@2", "policies": [wanted]}
    assert _ask(server, sender, "base@2") == {"name": "base@2", "policies": []}
    _add(server, NewPolicy("base", "", removed=True))
    assert _ask(server, sender, "base@2") == {"name": "", "policies": []}


def test_strangers_get_nothing(server: Server, sender: Sender) -> None:
    """A policy says what a host does not tell: only the agent itself may read it."""
    body = msgspec.json.encode({"name": ""})
    headers = sender.health({"name": "something else"})
    assert server.client.post("/ingest/policy", content=body, headers=headers).status_code == 401
    assert server.client.post("/ingest/policy", content=body).status_code == 401


def test_of_alternatives_one_must_fit_whole(server: Server, sender: Sender) -> None:
    """Several groups of agents are alternatives; of one group all tags are needed."""
    _add(server, NewPolicy("one", BASE, [{"role": "web", "site": "a"}, {"role": "db"}]))
    assert _ask(server, sender)["name"] == ""
    _tag(server, sender, role="web")
    assert _ask(server, sender)["name"] == ""
    _tag(server, sender, site="a")
    assert _ask(server, sender)["name"] == "one@1"
