"""Who is calling: the first login, passwords, sessions and tokens. Of a token only its hash is kept.

A session is a token in a cookie, a bearer token one in a header; both are rows of `login`. The first-login token is a
row that belongs to nobody yet: whoever shows it becomes the owner.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgspec
import sqlalchemy as sa
import structlog

from tocsin.api.attempts import Attempts, TooManyTries
from tocsin.api.passwords import hash_password, matches
from tocsin.model.errors import BadInput, NotAllowed
from tocsin.state.tables import login, user

__all__ = [
    "SESSION_MS",
    "Caller",
    "create_owner",
    "csrf_token",
    "first_login_token",
    "has_users",
    "identify",
    "is_first_login",
    "issue_token",
    "log_in",
    "log_out",
]

SESSION_MS = 12 * 3_600_000
_FIRST_LOGIN_MS = 7 * 24 * 3_600_000
_TOKEN_BYTES = 32
_NOBODY = 0
_MAX_NAME = 100

_log = structlog.get_logger(__name__)


class Caller(msgspec.Struct, frozen=True):
    """An authenticated person, and the token that says so."""

    org: str
    user_id: int
    name: str
    role: str
    token: str


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def csrf_token(session: str) -> str:
    """What a form must carry: only a page of ours can know it, and it cannot be turned back into the session."""
    return hmac.new(session.encode(), b"csrf", hashlib.sha256).hexdigest()


def has_users(connection: sa.Connection, org: str) -> bool:
    """Has anybody logged in for the first time yet?"""
    return connection.scalar(sa.select(user.c.id).where(user.c.org == org).limit(1)) is not None


def first_login_token(connection: sa.Connection, org: str, now_ms: int) -> str | None:
    """A new token that makes its bearer the owner; earlier ones end. None if the org has people already."""
    if has_users(connection, org):
        return None
    connection.execute(sa.delete(login).where(login.c.org == org, login.c.user_id == _NOBODY))
    return issue_token(connection, org, _NOBODY, now_ms, _FIRST_LOGIN_MS)


def issue_token(connection: sa.Connection, org: str, user_id: int, now_ms: int, lifetime_ms: int) -> str:
    """A new random token of that person."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    row = {"token_hash": _hash(token), "org": org, "user_id": user_id}
    connection.execute(sa.insert(login).values(**row, created_at=now_ms, expires_at=now_ms + lifetime_ms))
    return token


def is_first_login(connection: sa.Connection, org: str, token: str, now_ms: int) -> bool:
    """Is it the org's valid first-login token?"""
    mine = (login.c.org == org) & (login.c.user_id == _NOBODY) & (login.c.expires_at > now_ms)
    found = connection.scalar(sa.select(login.c.org).where(mine, login.c.token_hash == _hash(token)))
    return found is not None and not has_users(connection, org)


def create_owner(connection: sa.Connection, org: str, token: str, name: str, password: str, now_ms: int) -> str:
    """Make the bearer of the first-login token the owner, once; gives a session token.

    Raises:
        NotAllowed: the token is not valid any more.
        BadInput: no name, or a password that is too short.
    """
    if not is_first_login(connection, org, token, now_ms):
        raise NotAllowed("the first-login token is not valid; restart the server to get a new one")
    if not 0 < len(name.strip()) <= _MAX_NAME:
        raise BadInput(f"a name has between 1 and {_MAX_NAME} characters")
    row = {"org": org, "name": name.strip(), "password_hash": hash_password(password), "role": "owner"}
    made = connection.execute(sa.insert(user).values(**row, created_at=now_ms).returning(user.c.id)).scalar_one()
    connection.execute(sa.delete(login).where(login.c.org == org, login.c.user_id == _NOBODY))
    return issue_token(connection, org, made, now_ms, SESSION_MS)


def log_in(engine: sa.Engine, attempts: Attempts, org: str, name: str, password: str, address: str, now_ms: int) -> str:
    """Check name and password; gives a session token.

    Raises:
        TooManyTries: too many failures for this name or from this address.
        NotAllowed: wrong name or password; does not say which.
    """
    keys = (f"name {org} {name.strip()}", f"address {address}")
    if wait_s := attempts.wait_s(keys, now_ms):
        raise TooManyTries(wait_s)
    with engine.connect() as connection:
        wanted = sa.select(user.c.id, user.c.password_hash).where(user.c.org == org, user.c.name == name.strip())
        found = connection.execute(wanted).first()
    if not matches(password, found.password_hash if found else None) or found is None:
        attempts.failed(keys, now_ms)
        _log.warning("login failed", org=org, address=address)
        raise NotAllowed("name or password is wrong")
    attempts.succeeded(keys[:1])
    _log.info("login", org=org, user_id=found.id, address=address)
    with engine.begin() as connection:
        connection.execute(sa.delete(login).where(login.c.expires_at <= now_ms))
        return issue_token(connection, org, found.id, now_ms, SESSION_MS)


def identify(connection: sa.Connection, token: str, now_ms: int) -> Caller | None:
    """Whose valid session or bearer token it is."""
    wanted = (
        sa.select(user.c.org, user.c.id, user.c.name, user.c.role)
        .join(login, (login.c.user_id == user.c.id) & (login.c.org == user.c.org))
        .where(login.c.token_hash == _hash(token), login.c.expires_at > now_ms)
    )
    row = connection.execute(wanted).first()
    return Caller(row.org, row.id, row.name, row.role, token) if row else None


def log_out(connection: sa.Connection, token: str) -> None:
    """End the session; the token is worth nothing from now on."""
    connection.execute(sa.delete(login).where(login.c.token_hash == _hash(token)))
