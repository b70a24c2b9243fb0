"""The senders that may deliver batches: enrolled agents, by the public key each made for itself."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tocsin.model.errors import BadSignature, InvalidBatch, NotAllowed
from tocsin.state.engine import reading
from tocsin.state.fleet import add_clone, revoked_agents
from tocsin.state.life.tags import tag_agent
from tocsin.state.tables import agent, enrolment_token

__all__ = [
    "REVOKED_WITHIN_S",
    "Cloned",
    "Enrolment",
    "Revoked",
    "Senders",
    "agent_id",
    "enroll",
    "hash_token",
    "join_as_clone",
]

_KEY_BYTES = 32
_UNKNOWN_FOR_S = 5.0
REVOKED_WITHIN_S = 0.2  # a revocation takes effect in every gateway within this time


class Revoked(NotAllowed):
    """An agent from which nothing is taken any more."""


class Enrolment(msgspec.Struct, frozen=True):
    """What an agent sends once, to be known from then on."""

    token: str
    public_key: bytes  # raw Ed25519, base64 in JSON
    hostname: str
    host: dict[str, Any] = {}


class Cloned(msgspec.Struct, frozen=True):
    """What an agent sends that finds its state folder on another machine, signed with the folder's key."""

    public_key: bytes  # the new one; raw Ed25519, base64 in JSON
    hostname: str
    host: dict[str, Any] = {}


def hash_token(token: str) -> str:
    """Tokens are kept hashed: whoever reads the state cannot enrol or log in."""
    return hashlib.sha256(token.encode()).hexdigest()


def agent_id(org: str, public_key: bytes) -> str:
    """An agent is its key: enrolling the same key again gives the same agent."""
    return hashlib.sha256(org.encode() + b"\0" + public_key).hexdigest()[:16]


def enroll(connection: sa.Connection, enrolment: Enrolment, now_ms: int) -> tuple[str, str]:
    """Use up one use of the token, register the key, give it the token's tags; gives (org, agent id).

    Raises:
        NotAllowed: the token is unknown, expired or used up.
        InvalidBatch: the key is no Ed25519 public key.
    """
    if len(enrolment.public_key) != _KEY_BYTES:
        raise InvalidBatch(f"public_key must be {_KEY_BYTES} bytes of Ed25519, not {len(enrolment.public_key)}")
    org, tags = _use_token(connection, enrolment.token, now_ms)
    uid = agent_id(org, enrolment.public_key)
    connection.execute(sa.delete(agent).where(agent.c.org == org, agent.c.id == uid))
    connection.execute(
        sa.insert(agent).values(
            id=uid,
            org=org,
            hostname=enrolment.hostname,
            public_key=enrolment.public_key,
            enrolled_at=now_ms,
            last_seen_at=None,  # until its first report
            boot_id=str(enrolment.host.get("boot_id", "")),
            host=enrolment.host,
            health={},
        )
    )
    if tags:
        tag_agent(connection, org, uid, tags, (), now_ms)
    return org, uid


def join_as_clone(
    connection: sa.Connection, org: str, parent: str, clone: Cloned, now_ms: int, clones_a_day: int
) -> str:
    """Register the new key as an agent of its own, marked as a clone; gives its id.

    Raises:
        NotAllowed: no more clones may join today.
        InvalidBatch: the key is no Ed25519 public key.
    """
    if len(clone.public_key) != _KEY_BYTES:
        raise InvalidBatch(f"public_key must be {_KEY_BYTES} bytes of Ed25519, not {len(clone.public_key)}")
    uid = agent_id(org, clone.public_key)
    row: dict[str, object] = {
        "id": uid,
        "hostname": clone.hostname,
        "public_key": clone.public_key,
        "last_seen_at": None,
        "boot_id": str(clone.host.get("boot_id", "")),
        "host": clone.host,
        "health": {},
    }
    add_clone(connection, org, parent, row, now_ms, clones_a_day)
    return uid


def _use_token(connection: sa.Connection, token: str, now_ms: int) -> tuple[str, dict[str, str]]:
    """The token's org and tags."""
    t = enrolment_token
    usable = sa.and_(t.c.token_hash == hash_token(token), t.c.expires_at > now_ms, t.c.uses_left > 0)
    used = connection.execute(
        sa.update(t).where(usable).values(uses_left=t.c.uses_left - 1).returning(t.c.org, t.c.tags)
    )
    row = used.first()
    if row is None:
        raise NotAllowed("the enrolment token is unknown, expired or used up; make a new one with `tocsin agent token`")
    return str(row.org), row.tags or {}


class Senders:
    """Public keys of enrolled agents, read from the state when first needed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._keys: dict[tuple[str, str], Ed25519PublicKey] = {}
        self._unknown: dict[tuple[str, str], float] = {}
        self._revoked: frozenset[tuple[str, str]] = frozenset()
        self._revoked_read_at = float("-inf")

    def key(self, org: str, uid: str) -> Ed25519PublicKey:
        """The sender's public key.

        Raises:
            BadSignature: nobody of that name is enrolled.
            Revoked: nothing is taken from it any more.
        """
        self._look_for_revocations()
        if (org, uid) in self._revoked:
            raise Revoked(f"agent {uid} is revoked")
        known = self._keys.get((org, uid))
        if known is not None:
            return known
        if time.monotonic() - self._unknown.get((org, uid), -_UNKNOWN_FOR_S) >= _UNKNOWN_FOR_S:
            self._load(org, uid)
        if (org, uid) not in self._keys:
            raise BadSignature(f"agent {uid!r} is not enrolled in org {org!r}")
        return self._keys[org, uid]

    def _look_for_revocations(self) -> None:
        if time.monotonic() - self._revoked_read_at < REVOKED_WITHIN_S:
            return
        with reading(self._engine) as connection:
            self._revoked = revoked_agents(connection)
        self._revoked_read_at = time.monotonic()

    def _load(self, org: str, uid: str) -> None:
        query = sa.select(agent.c.public_key).where(agent.c.org == org, agent.c.id == uid)
        with reading(self._engine) as connection:
            raw = connection.execute(query).scalar_one_or_none()
        if raw is not None:
            self._keys[org, uid] = Ed25519PublicKey.from_public_bytes(raw)
            return
        if len(self._unknown) > 10_000:  # noqa: PLR2004 -- a stranger must not fill the memory with names
            self._unknown.clear()
        self._unknown[org, uid] = time.monotonic()

    def verify(self, org: str, uid: str, signature: bytes, data: bytes) -> None:
        """Check a signature that is not a batch's, e.g. of a health report.

        Raises:
            BadSignature: not the sender's.
        """
        try:
            self.key(org, uid).verify(signature, data)
        except InvalidSignature as error:
            raise BadSignature(f"the signature is not that of agent {uid!r}") from error
