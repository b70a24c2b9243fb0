"""The API about rules and suppressions: what it changes, and for whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from console import ORG, Console
from tocsin.api.app import app
from tocsin.detect.life.books import RuleBooks
from tocsin.detect.life.overview import Rules
from tocsin.model.life import State
from tocsin.state.engine import reading
from tocsin.state.life.changes import change_numbers
from tocsin.state.life.hits import HOUR_MS, Hits, add_hits
from tocsin.state.life.states import Given, give_state
from tocsin.state.life.suppressions import NewSuppression, add
from tocsin.state.tables import org

RULE = """
title: A rule
id: r-1
logsource: {product: linux, category: process_creation}
detection:
  selection: {CommandLine|startswith: marked}
  condition: selection
level: critical
"""


@pytest.fixture
def rules(console: Console, tmp_path: Path) -> Iterator[TestClient]:
    """The API of a server with one rule."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "one.yml").write_text(RULE)
    with console.engine.begin() as connection:
        for name in (ORG, "other"):
            connection.execute(org.insert().values(id=name, name=name, created_at=1))
    backend = dataclasses.replace(console.backend, rules=Rules(RuleBooks(paths=[folder])))
    with TestClient(app(backend), headers={"authorization": f"Bearer {console.owner()}"}) as made:
        yield made


def test_rules_are_listed_with_state_and_hits(rules: TestClient, console: Console) -> None:
    """A rule has its severity, where it comes from, and what it found in seven days, by the hour too."""
    hour = console.clock.now_ms() // HOUR_MS * HOUR_MS
    with console.engine.begin() as connection:
        add_hits(connection, {(ORG, "r-1", hour): Hits(5, 2, 0, 3), (ORG, "r-1", 0): Hits(9, 9, 0, 0)})
        add_hits(connection, {(ORG, "r-1", hour): Hits(1, 0, 1, 0), ("other", "r-1", hour): Hits(50, 50, 0, 0)})
    (listed,) = rules.get("/rules").json()["rules"]
    assert (listed["severity"], listed["ruleset"], listed["state"]) == (1, "rules", "active")
    assert [listed[name] for name in ("matches", "alerts", "staged", "suppressed")] == [6, 2, 1, 3]
    shown = rules.get("/rules/r-1").json()
    assert [each["matches"] for each in shown["hits"]] == [6]
    assert shown["versions"] == []
    assert rules.get("/rules/nothing").status_code == 404


def test_a_state_is_given_by_the_caller(rules: TestClient, console: Console) -> None:
    """Staging a rule keeps who did it and why, and tells the detectors; what is no state is refused."""
    answer = rules.post("/rules/r-1/state", json={"state": "staged", "reason": "too loud"})
    assert (answer.json()["state"], answer.json()["state_by"]) == ("staged", "ada")
    with reading(console.engine) as connection:
        assert change_numbers(connection) == {ORG: 1}
    assert rules.post("/rules/r-1/state", json={"state": "demoted"}).status_code == 400
    assert rules.post("/rules/nothing/state", json={"state": "staged"}).status_code == 404


def test_one_org_does_not_see_anothers_states(rules: TestClient, console: Console) -> None:
    """What another org says about a rule of the same id, or hides, is not shown and cannot be reached."""
    now = console.clock.now_ms()
    with console.engine.begin() as connection:
        give_state(connection, "other", "r-1", Given(State.DISABLED, "", "eve", now))
        theirs = add(connection, "other", NewSuppression("time > 1", "eve", "why", now + 1_000), "eve", now)
    assert rules.get("/rules/r-1").json()["rule"]["state"] == "active"
    assert rules.get("/suppressions").json() == {"suppressions": []}
    assert rules.get(f"/suppressions/{theirs.id}").status_code == 404
    assert rules.delete(f"/suppressions/{theirs.id}").status_code == 404


def test_a_suppression_is_made_shown_and_removed(rules: TestClient, console: Console) -> None:
    """All of it is needed, it must be understood and end in the future; removed, it stays to be read."""
    wanted = {
        "expression": "process.name = 'nc'",
        "owner": "anna",
        "reason": "known",
        "expires_at": console.clock.now_ms() + 60_000,
    }
    made = rules.post("/suppressions", json=wanted).json()
    assert (made["state"], made["author"], made["hidden"]) == ("in force", "ada", 0)
    for wrong in ({"expression": "process.nam = 1"}, {"reason": " "}, {"owner": ""}, {"expires_at": 5}, {"more": 1}):
        assert rules.post("/suppressions", json=wanted | wrong).status_code == 400
    assert rules.post("/suppressions", json={"expression": "time > 1"}).status_code == 400
    unknown = rules.post("/suppressions", json=wanted | {"rule_id": "r-2"})
    assert (unknown.status_code, unknown.json()["detail"]) == (400, "there is no rule r-2")
    for known in ("r-1", "intel:domain"):
        assert rules.post("/suppressions", json=wanted | {"rule_id": known}).json()["rule_id"] == known
    assert rules.delete(f"/suppressions/{made['id']}").json()["state"] == "removed"
    assert rules.delete(f"/suppressions/{made['id']}").status_code == 409
    assert rules.get(f"/suppressions/{made['id']}").json()["removed_by"] == "ada"
