"""What the console says when it cannot show a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.routing import Mount
from starlette.testclient import TestClient

from console import Console
from tocsin.api.app import app as api_app
from tocsin.api.guard import COOKIE
from tocsin.model.errors import TryLater
from tocsin.ports import Selection
from tocsin.web.app import app
from tocsin.web.headers import CONTENT_SECURITY_POLICY


class _Failing:
    """A query that fails in the way it is told to."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def _after(self, *_asked: object) -> Exception:
        return self._error

    def events(self, selection: Selection) -> list[dict[str, object]]:
        raise self._after(selection)

    def count(self, selection: Selection) -> int:
        raise self._after(selection)

    def histogram(self, selection: Selection, bins: int) -> list[tuple[int, int]]:
        raise self._after(selection, bins)

    def by_uid(self, org: str, uids: Sequence[str]) -> list[dict[str, object]]:
        raise self._after(org, uids)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A console over an empty state."""
    made = Console(tmp_path)
    yield made
    made.close()


def _client(console: Console, error: Exception) -> TestClient:
    backend = replace(console.backend, query=_Failing(error))
    made = app(backend, [Mount("/api/v1", api_app(backend))])
    return TestClient(made, cookies={COOKIE: console.owner()}, raise_server_exceptions=False)


def test_nothing_at_the_address(console: Console) -> None:
    """An unknown page or alert says so, on a page of ours with our policy."""
    client = _client(console, RuntimeError())
    for path, said in (("/nowhere", "nothing at this address"), ("/alerts/nope", "There is no alert nope.")):
        answer = client.get(path)
        assert answer.status_code == 404
        assert said in answer.text
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_an_error_of_ours_tells_nothing_of_its_inside(console: Console) -> None:
    """A crash is a page, or a problem for the API, without the exception's text, and with our policy."""
    client = _client(console, RuntimeError("secret inside"))
    page, problem = client.get("/search"), client.get("/api/v1/events")
    assert (page.status_code, problem.status_code) == (500, 500)
    assert "Its log says more" in page.text
    assert "secret inside" not in page.text + problem.text
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert problem.headers["content-type"] == "application/problem+json"


def test_a_busy_store_asks_to_come_again(console: Console) -> None:
    """What may work later is 503 with the reason."""
    answer = _client(console, TryLater("ask for less time")).get("/search")
    assert answer.status_code == 503
    assert "Ask for less time." in answer.text


def test_without_a_login_every_page_leads_to_it(console: Console) -> None:
    """A stranger is sent to the login, and back to where they wanted to go afterwards."""
    console.owner()
    with TestClient(console.asgi, follow_redirects=False) as stranger:
        shown = ("/alerts", "/alerts/x", "/search?q=a", "/search/fields.json", "/agents", "/policies")
        for path in (*shown, "/alerts/stream"):
            answer = stranger.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login?next=%2F")
        assert stranger.post("/alerts/x/acknowledge").headers["location"] == "/login?next=%2Falerts"
        assert stranger.get("/static/console.css").headers["cache-control"] == "no-cache"
