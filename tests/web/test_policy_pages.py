"""The page about capture policies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from console import ORG, Console, csrf_of
from tocsin.state.engine import reading
from tocsin.state.policies import current_policies, history_of
from tocsin.state.tables import agent

POLICY = "[agents]\nrole = 'web'\n[exclude]\nexe = ['/usr/bin/rsync']\n"


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A console with three agents."""
    made = Console(tmp_path)
    made.enrol()
    yield made
    made.close()


def test_a_policy_is_written_changed_and_removed(browser: TestClient, console: Console) -> None:
    """The form makes a version under the caller's name, unless nothing is new; the page says for whom it is."""
    page = browser.get("/policies").text
    form = {"csrf": csrf_of(page), "name": "web", "content": POLICY.replace("\n", "\r\n")}
    assert "role=web" in browser.post("/policies", data=form).text
    browser.post("/policies", data=form)
    assert "/usr/bin/rsync" in browser.get("/policies?policy=web").text
    browser.post("/policies", data=form | {"content": "[limit]\ncpu_percent = 3\n"})
    with reading(console.engine) as connection:
        versions = history_of(connection, ORG, "web")
    assert [(each.version, each.author) for each in versions] == [(2, "ada"), (1, "ada")]
    assert versions[1].content == POLICY
    assert "No policy" in browser.post("/policies/web/remove", data={"csrf": form["csrf"]}).text


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"content": "[events.authentication]\nsample = 2\n"}, "web:1: events.authentication is protected"),
        ({"content": "[exclude]\nexe = ['<b>']\n"}, "&lt;b&gt;"),
        ({"name": "We b"}, "small letters"),
    ],
)
def test_a_wrong_policy_is_shown_again_with_what_is_wrong(
    browser: TestClient, console: Console, said: dict[str, str], reason: str
) -> None:
    """Nothing is applied, and nothing of what was typed is lost or acts on the page."""
    page = browser.get("/policies").text
    answer = browser.post("/policies", data={"csrf": csrf_of(page), "name": "web", "content": POLICY} | said)
    assert (answer.status_code, reason in answer.text) == (400, True), answer.text
    with reading(console.engine) as connection:
        assert current_policies(connection, ORG) == []


def test_forms_of_others_change_nothing(browser: TestClient, console: Console) -> None:
    """Without the page's own token nothing is applied or removed."""
    assert browser.post("/policies", data={"name": "web", "content": POLICY}).status_code == 403
    assert browser.post("/policies/web/remove").status_code == 403
    assert browser.get("/policies?policy=web").status_code == 404
    with reading(console.engine) as connection:
        assert current_policies(connection, ORG) == []


def test_the_page_says_which_agents_have_applied_what(browser: TestClient, console: Console) -> None:
    """What an agent refuses stands beside it, with the reason."""
    page = browser.get("/policies").text
    browser.post("/policies", data={"csrf": csrf_of(page), "name": "base", "content": "[exclude]\nexe = ['/a']\n"})
    said = {"web-1": {"applied": "base@1", "problem": ""}, "db-1": {"applied": "", "problem": "base@1:1: what is this"}}
    with console.engine.begin() as connection:
        for hostname, policy in said.items():
            mine = sa.update(agent).where(agent.c.hostname == hostname)
            connection.execute(mine.values(health={"policy": policy}))
    page = browser.get("/policies").text
    assert page.count("Applied</span>") == 1
    assert page.count("Refused</span>") == 1
    assert "base@1:1: what is this" in page
    assert "has not said" in page
