"""Who may call: first login, passwords, sessions, forged forms."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from console import NAME, ORG, PASSWORD, Console
from tocsin.api.attempts import Attempts
from tocsin.api.auth import SESSION_MS, csrf_token, first_login_token, identify, is_first_login
from tocsin.api.guard import COOKIE
from tocsin.api.passwords import hash_password, matches
from tocsin.model.errors import BadInput
from tocsin.state.tables import login, user


def test_a_password_matches_its_hash_and_no_other() -> None:
    """Only the same password matches; two hashes of one password differ; nobody's hash matches nothing."""
    kept = hash_password(PASSWORD)
    assert matches(PASSWORD, kept)
    assert not matches(PASSWORD + " ", kept)
    assert kept != hash_password(PASSWORD)
    assert not matches(PASSWORD, None)


@pytest.mark.parametrize("password", ["", "short", "x" * 2_000])
def test_a_password_has_a_length(password: str) -> None:
    """Too short or absurdly long is refused."""
    with pytest.raises(BadInput):
        hash_password(password)


def test_the_first_login_makes_the_owner_once(console: Console, stranger: TestClient) -> None:
    """The token opens the form, makes the owner, logs them in, and is worth nothing afterwards."""
    token = console.first_token()
    assert stranger.get(f"/login?token={token}").headers["location"] == f"/welcome?token={token}"
    assert "Choose your login" in stranger.get(f"/welcome?token={token}").text
    form = {"token": token, "name": NAME, "password": PASSWORD}
    entered = stranger.post("/welcome", data=form)
    assert (entered.status_code, entered.headers["location"]) == (303, "/alerts")
    assert stranger.get("/alerts").status_code == 200
    again = stranger.post("/welcome", data=form | {"name": "eve"})
    assert again.status_code == 403
    with console.engine.begin() as connection:
        assert connection.scalars(sa.select(user.c.name)).all() == [NAME]
        assert first_login_token(connection, ORG, console.clock.now_ms()) is None


def test_a_new_first_login_token_ends_the_one_before(console: Console) -> None:
    """Only the newest printed token works, and only for its org and its time."""
    old, new, now = console.first_token(), console.first_token(), console.clock.now_ms()
    with console.engine.connect() as connection:
        assert not is_first_login(connection, ORG, old, now)
        assert is_first_login(connection, ORG, new, now)
        assert not is_first_login(connection, "other", new, now)
        assert not is_first_login(connection, ORG, new, now + 8 * 24 * 3_600_000)


def test_a_weak_password_keeps_the_token_valid(console: Console, stranger: TestClient) -> None:
    """A refused password shows the form again, with the name kept."""
    form = {"token": console.first_token(), "name": NAME, "password": "short"}
    refused = stranger.post("/welcome", data=form)
    assert refused.status_code == 400
    assert f'value="{NAME}"' in refused.text
    assert stranger.post("/welcome", data=form | {"password": PASSWORD}).status_code == 303


def test_the_session_cookie_is_protected(console: Console, stranger: TestClient) -> None:
    """The cookie cannot be read by scripts or sent by other sites, and the state keeps only its hash."""
    console.owner()
    answer = stranger.post("/login", data={"name": NAME, "password": PASSWORD, "next": "/agents"})
    assert answer.headers["location"] == "/agents"
    said = answer.headers["set-cookie"]
    assert all(part in said for part in ("HttpOnly", "SameSite=strict", f"Max-Age={SESSION_MS // 1000}"))
    with console.engine.connect() as connection:
        assert answer.cookies[COOKIE] not in connection.scalars(sa.select(login.c.token_hash)).all()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example"])
def test_the_login_leads_to_our_own_pages_only(console: Console, stranger: TestClient, target: str) -> None:
    """A prepared link cannot send people elsewhere after the login."""
    console.owner()
    answer = stranger.post("/login", data={"name": NAME, "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/alerts"


def test_guessing_is_slowed_down(console: Console, stranger: TestClient) -> None:
    """After five failures even the right password has to wait, and the answer says how long."""
    console.owner()
    for _ in range(5):
        assert stranger.post("/login", data={"name": NAME, "password": "wrong password"}).status_code == 403
    assert stranger.post("/login", data={"name": NAME, "password": PASSWORD}).status_code == 429
    api = stranger.post("/api/v1/tokens", json={"name": NAME, "password": PASSWORD})
    assert api.status_code == 429
    assert 0 < int(api.headers["retry-after"]) <= 300


def test_failures_are_forgotten_after_a_while() -> None:
    """The wait ends with the window, and a success forgets the name's failures."""
    attempts = Attempts(allowed=2, window_ms=10_000)
    for at in (0, 1_000):
        attempts.failed(("name",), at)
    assert attempts.wait_s(("name", "other"), 5_000) == 5
    assert attempts.wait_s(("other",), 5_000) == 0
    assert attempts.wait_s(("name",), 10_000 + 999) == 0
    attempts.succeeded(("name",))
    assert attempts.wait_s(("name",), 1_000) == 0


def test_a_session_ends(console: Console) -> None:
    """A token is worth something until its time is over, and nothing in between for a wrong one."""
    token = console.owner()
    now = console.clock.now_ms()
    with console.engine.connect() as connection:
        caller = identify(connection, token, now)
        assert caller is not None
        assert (caller.name, caller.org, caller.role) == (NAME, ORG, "owner")
        assert identify(connection, token, now + SESSION_MS) is None
        assert identify(connection, token + "x", now) is None


def test_logging_out_ends_the_session(console: Console, stranger: TestClient) -> None:
    """After the logout the same cookie opens nothing."""
    token = console.owner()
    stranger.cookies.set(COOKIE, token)
    assert stranger.post("/logout", data={"csrf": csrf_token(token)}).headers["location"] == "/login"
    stranger.cookies.set(COOKIE, token)
    assert stranger.get("/alerts").headers["location"] == "/login?next=%2Falerts"


def test_forged_forms_change_nothing(console: Console, stranger: TestClient) -> None:
    """With the cookie alone, with a wrong token or from another site nothing is changed."""
    token = console.owner()
    (key, *_) = console.intrusion()
    stranger.cookies.set(COOKIE, token)
    target, proof = f"/alerts/{key}/acknowledge", csrf_token(token)
    assert stranger.post(target).status_code == 403
    assert stranger.post(target, data={"csrf": "x" * 64}).status_code == 403
    foreign = {"sec-fetch-site": "cross-site"}
    assert stranger.post(target, data={"csrf": proof}, headers=foreign).status_code == 403
    assert stranger.post(target, data={"csrf": proof}, headers={"origin": "https://evil.example"}).status_code == 403
    assert stranger.post(f"/api/v1{target}").status_code == 403
    assert stranger.get(f"/api/v1/alerts/{key}").json()["alert"]["status"] == "open"
    assert stranger.post(f"/api/v1{target}", headers={"x-csrf-token": proof}).status_code == 200
    assert stranger.post(f"/alerts/{key}/close", data={"csrf": proof, "reason": "test"}).status_code == 303


def test_logins_from_other_sites_are_refused(console: Console, stranger: TestClient) -> None:
    """Another site cannot log somebody in as somebody else."""
    console.owner()
    form = {"name": NAME, "password": PASSWORD}
    assert stranger.post("/login", data=form, headers={"sec-fetch-site": "cross-site"}).status_code == 403
