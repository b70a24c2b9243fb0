"""The REST API: what it answers, to whom, and what it says when it cannot."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

import sample_intrusion
import tocsin
from console import NAME, ORG, PASSWORD, Console
from tocsin.api.app import app
from tocsin.state.tables import login, user

GUARDED = [
    ("GET", "/alerts"),
    ("GET", "/alerts/x"),
    ("POST", "/alerts/x/acknowledge"),
    ("POST", "/alerts/x/close"),
    ("GET", "/events"),
    ("GET", "/events/histogram"),
    ("GET", "/rules"),
    ("GET", "/rules/x"),
    ("POST", "/rules/x/state"),
    ("GET", "/suppressions"),
    ("POST", "/suppressions"),
    ("GET", "/suppressions/x"),
    ("DELETE", "/suppressions/x"),
    ("GET", "/intel/feeds"),
    ("GET", "/intel/lookup"),
    ("GET", "/agents"),
    ("GET", "/status"),
    ("DELETE", "/tokens/current"),
]


def _problem(answer: Any) -> str:  # noqa: ANN401  # the test client's own response type is private
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    return str(body["detail"])


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_strangers_get_nothing(stranger: TestClient, method: str, path: str) -> None:
    """Every route but the login wants a token, whatever else is wrong with the request."""
    answer = stranger.request(method, f"/api/v1{path}", json={"reason": "x"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert _problem(answer) == "log in, or send a bearer token"


def test_every_route_is_in_the_list_of_guarded_ones(console: Console) -> None:
    """A route that is added later must be added to the test above."""
    described = {
        (method.upper(), re.sub(r"{\w+_id}", "x", path))
        for path, methods in app(console.backend).openapi()["paths"].items()
        for method in methods
    }
    assert described == {*GUARDED, ("POST", "/tokens")}


def test_the_description_is_openapi_3_1(client: TestClient) -> None:
    """The description names its version and the problem each route may answer with."""
    described = client.get("/api/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert described["info"]["version"] == tocsin.__version__
    assert {"401", "404", "409"} <= set(described["paths"]["/alerts/{alert_id}/close"]["post"]["responses"])


def test_a_token_for_name_and_password(console: Console, stranger: TestClient) -> None:
    """Name and password give a bearer token, which works until it is deleted."""
    console.owner()
    token = stranger.post("/api/v1/tokens", json={"name": NAME, "password": PASSWORD}).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    assert stranger.get("/api/v1/status", headers=bearer).json()["caller"] == NAME
    assert stranger.delete("/api/v1/tokens/current", headers=bearer).status_code == 204
    assert stranger.get("/api/v1/status", headers=bearer).status_code == 401
    wrong = stranger.post("/api/v1/tokens", json={"name": NAME, "password": "not the password"})
    assert (wrong.status_code, _problem(wrong)) == (403, "name or password is wrong")


def test_alerts_page_by_page(console: Console, client: TestClient) -> None:
    """The cursor leads through all alerts; filters narrow them."""
    ids = console.intrusion()
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = client.get("/api/v1/alerts", params={"limit": 3, "cursor": cursor}).json()
        seen, cursor = seen + [alert["id"] for alert in body["alerts"]], body["cursor"]
    assert seen == ids[::-1]
    critical = client.get("/api/v1/alerts", params={"level": "critical"}).json()["alerts"]
    assert [alert["title"] for alert in critical] == ["bash opened a reverse shell to 198.51.100.23:4444"]


def test_an_alert_with_its_evidence(console: Console, client: TestClient) -> None:
    """An alert comes with its events whole and why each fired."""
    key = console.intrusion()[0]
    body = client.get(f"/api/v1/alerts/{key}").json()
    first = body["evidence"][0]
    assert first["event_uid"] == first["event"]["metadata"]["uid"]
    assert first["met"][0].keys() == {"field", "term", "value"}


def test_acknowledge_and_close(console: Console, client: TestClient) -> None:
    """The caller becomes the assignee; closing needs a reason and is final."""
    key = console.intrusion()[0]
    taken = client.post(f"/api/v1/alerts/{key}/acknowledge").json()
    assert (taken["status"], taken["assignee"]) == ("acknowledged", NAME)
    assert client.post(f"/api/v1/alerts/{key}/close", json={"reason": " "}).status_code == 400
    assert client.post(f"/api/v1/alerts/{key}/close", json={"reason": "an exercise"}).json()["status"] == "closed"
    again = client.post(f"/api/v1/alerts/{key}/acknowledge")
    assert again.status_code == 409
    assert "closed" in _problem(again)


def test_what_is_not_there(client: TestClient) -> None:
    """Unknown alerts and addresses are problems with a sentence."""
    missing = client.get("/api/v1/alerts/nope")
    assert (missing.status_code, _problem(missing)) == (404, "there is no alert nope")
    nowhere = client.get("/api/v1/nowhere")
    assert (nowhere.status_code, _problem(nowhere)) == (404, "Not Found")


@pytest.mark.parametrize(
    ("path", "parameters", "said"),
    [
        ("/alerts", {"limit": "0"}, "limit"),
        ("/alerts", {"cursor": "nonsense"}, "cursor"),
        ("/alerts", {"status": "happy"}, "status"),
        ("/events", {"where": "process.name ="}, ""),
        ("/events", {"cursor": "nonsense"}, "cursor"),
        ("/events", {"since": "5", "until": "5"}, "since"),
        ("/events/histogram", {"bins": "100000"}, "bins"),
    ],
)
def test_bad_parameters(client: TestClient, path: str, parameters: dict[str, str], said: str) -> None:
    """What cannot be used is refused with the name of the thing, never answered with something else."""
    answer = client.get(f"/api/v1{path}", params=parameters)
    assert answer.status_code == 400
    assert said in _problem(answer)


def test_events_page_by_page(console: Console, client: TestClient) -> None:
    """Every matching event comes once, newest first, though pages end amid a second."""
    console.intrusion()
    where: dict[str, str | int] = {"where": "metadata.log_name = 'auditd'", "limit": 7, "since": 1}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = client.get("/api/v1/events", params=where | {"cursor": cursor}).json()
        seen, cursor = seen + [event["metadata"]["uid"] for event in body["events"]], body["cursor"]
    assert len(seen) == len(set(seen)) == 120
    assert seen == sorted(seen, key=lambda uid: uid[:12], reverse=True)


def test_events_that_share_a_millisecond(console: Console, client: TestClient) -> None:
    """A burst in a single millisecond is paged through without repeating or hiding one."""
    at = console.clock.now_ms() - 60_000
    console.events.add(sample_intrusion.launch(sample_intrusion.SHELL, at, serial) for serial in range(50))
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = client.get("/api/v1/events", params={"limit": 11, "cursor": cursor}).json()
        seen, cursor = seen + [event["metadata"]["uid"] for event in body["events"]], body["cursor"]
    assert len(seen) == len(set(seen)) == 50


def test_the_histogram_counts_what_the_search_finds(console: Console, client: TestClient) -> None:
    """Its spans are equal, empty ones included, and add up to the matching events."""
    console.intrusion()
    body = client.get("/api/v1/events/histogram", params={"where": "process.name = 'curl'", "bins": 24}).json()
    assert body["total"] == sum(span["count"] for span in body["spans"]) == 2
    assert len(body["spans"]) == 24


def test_agents_and_status(console: Console, client: TestClient) -> None:
    """Agents are online or offline by when they were last heard of; the status counts everything."""
    console.intrusion()
    console.enrol()
    found = {agent["hostname"]: agent["state"] for agent in client.get("/api/v1/agents").json()["agents"]}
    assert found == {"web-1": "online", "bastion-2": "online", "db-1": "offline"}
    status = client.get("/api/v1/status").json()
    assert status["alerts"] == {"open": 8, "acknowledged": 0, "closed": 0}
    assert status["agents"] == {"online": 2, "offline": 1, "revoked": 0, "never seen": 0}
    assert status["org"] == ORG


def test_another_org_sees_nothing(console: Console, client: TestClient) -> None:
    """The same person with a login of another org gets none of this org's alerts, events or agents."""
    key = console.intrusion()[0]
    console.enrol()
    with console.engine.begin() as connection:
        connection.execute(sa.update(user).values(org="other"))
        connection.execute(sa.update(login).values(org="other"))
    assert client.get("/api/v1/status").json()["org"] == "other"
    assert client.get("/api/v1/alerts").json()["alerts"] == []
    assert client.get("/api/v1/events").json()["events"] == []
    assert client.get("/api/v1/agents").json()["agents"] == []
    assert client.get(f"/api/v1/alerts/{key}").status_code == 404
    assert client.post(f"/api/v1/alerts/{key}/acknowledge").status_code == 404
    assert client.post(f"/api/v1/alerts/{key}/close", json={"reason": "mine"}).status_code == 404
