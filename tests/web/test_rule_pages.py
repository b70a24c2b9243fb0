"""The pages about rules and suppressions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from starlette.testclient import TestClient

import sample_intrusion
from console import ORG, Console, csrf_of
from tocsin.detect.life.books import RuleBooks
from tocsin.detect.life.overview import Rules
from tocsin.model.life import State
from tocsin.state.engine import reading
from tocsin.state.life.changes import InUse, note_in_use
from tocsin.state.life.states import states
from tocsin.state.life.suppressions import NewSuppression, add, listed
from tocsin.state.tables import org

RULE = """
title: A <b>rule</b>
id: r-1
logsource: {product: linux, category: process_creation}
detection:
  selection: {CommandLine|startswith: marked}
  condition: selection
"""


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A console over a state with one rule."""
    made = Console(tmp_path)
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "one.yml").write_text(RULE)
    (folder / "two.yml").write_text("title: [")
    with made.engine.begin() as connection:
        connection.execute(org.insert().values(id=ORG, name=ORG, created_at=1))
    made.backend = dataclasses.replace(made.backend, rules=Rules(RuleBooks(paths=[folder])))
    yield made
    made.close()


def test_a_rule_is_staged_from_its_row(browser: TestClient, console: Console) -> None:
    """The page shows the rule, its text harmless, and a button stages it under the caller's name."""
    page = browser.get("/rules").text
    assert "A &lt;b&gt;rule&lt;/b&gt;" in page
    assert "two.yml" in page
    answer = browser.post("/rules/state", data={"csrf": csrf_of(page), "rule": "r-1", "state": "staged"})
    assert "by ada" in answer.text
    with reading(console.engine) as connection:
        assert states(connection, ORG)["r-1"].state is State.STAGED
    assert "r-1" not in browser.get("/rules?state=active").text
    assert "r-1" in browser.get("/rules?state=staged&q=B%3ERULE").text


def test_forms_of_others_change_nothing(browser: TestClient, console: Console) -> None:
    """Without the page's own token, or with a state that people cannot give, nothing is changed."""
    page = browser.get("/rules").text
    assert browser.post("/rules/state", data={"rule": "r-1", "state": "staged"}).status_code == 403
    demoted = {"csrf": csrf_of(page), "rule": "r-1", "state": "demoted"}
    assert browser.post("/rules/state", data=demoted).status_code == 400
    with reading(console.engine) as connection:
        assert states(connection, ORG) == {}


def test_a_refused_rule_set_is_announced(browser: TestClient, console: Console) -> None:
    """Who looks at the rules sees that the detector does not run the newest, and why."""
    with console.engine.begin() as connection:
        note_in_use(connection, ORG, InUse("detector", 1, 48, 1, "bad.yml:3: not YAML", console.clock.now_ms()))
    assert "bad.yml:3: not YAML" in browser.get("/rules").text


def test_a_suppression_is_added_and_removed(browser: TestClient, console: Console) -> None:
    """The form makes one for the rule that a link named; a mistake in it is said; removing keeps the entry."""
    page = browser.get("/suppressions?rule=r-1").text
    assert 'value="r-1"' in page
    said = {"csrf": csrf_of(page), "expression": "process.name = 'nc'", "rule": "r-1", "owner": "ada", "days": "7"}
    assert browser.post("/suppressions", data=said | {"reason": ""}).status_code == 400
    assert "did you mean" in browser.post("/suppressions", data=said | {"reason": "x", "expression": "proces = 1"}).text
    assert browser.post("/suppressions", data=said | {"reason": "x", "days": "0"}).status_code == 400
    assert "here is no rule r-2" in browser.post("/suppressions", data=said | {"reason": "x", "rule": "r-2"}).text
    assert "In force" in browser.post("/suppressions", data=said | {"reason": "known"}).text
    with reading(console.engine) as connection:
        (made,) = listed(connection, ORG)
    assert "Removed" in browser.post(f"/suppressions/{made.id}/remove", data={"csrf": csrf_of(page)}).text


def test_a_suppressed_alert_names_what_hides_it(browser: TestClient, console: Console) -> None:
    """It is not in the queue but under its own filter, and its page names the suppression; nothing is to be closed."""
    now = console.clock.now_ms()
    with console.engine.begin() as connection:
        new = NewSuppression("time > 1", "anna", "nightly backup", now + 86_400_000)
        made = add(connection, ORG, new, "anna", now)
    one = sample_intrusion.findings(now - 5_000)[-1]
    (key,) = console.record([msgspec.structs.replace(one, suppressed_by=made.id)])
    assert key not in browser.get("/alerts?status=all").text
    assert key in browser.get("/alerts?status=suppressed").text
    page = browser.get(f"/alerts/{key}").text
    assert "nightly backup" in page
    assert "/close" not in page
