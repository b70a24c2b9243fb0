"""What a server makes for itself when it starts for the first time: its folders, its org, its own signing key."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.alert.channels import set_webhook
from tocsin.config import Settings
from tocsin.ingest.authority import fingerprint
from tocsin.ingest.senders import hash_token
from tocsin.state.engine import open_state
from tocsin.state.tables import channel, enrolment_token, org
from tocsin.wiring.processes.claim import make_folder

__all__ = ["apply_webhook", "make_enrolment_token", "open_server_state", "server_key", "with_fingerprint"]

_HOUR_MS = 3_600_000
_WEBHOOK = "webhook"  # name of the channel that the settings make


def open_server_state(settings: Settings, now_ms: int) -> sa.Engine:
    """The state, with the data folder and the org made if they are not there.

    Raises:
        OutOfSpace: the data folder cannot be made.
        InvalidSetting: what is there is no state of Tocsin's.
    """
    make_folder(settings.data_dir)
    engine = open_state(settings.state)
    with engine.begin() as connection:
        known = connection.execute(sa.select(org.c.id).where(org.c.id == settings.org)).first()
        if known is None:
            connection.execute(sa.insert(org).values(id=settings.org, name=settings.org, created_at=now_ms))
    return engine


def apply_webhook(engine: sa.Engine, settings: Settings) -> None:
    """The webhook of the settings as a channel; no longer among the settings, it is no longer used."""
    with engine.begin() as connection:
        if settings.webhook_url:
            set_webhook(connection, settings.org, _WEBHOOK, settings.webhook_url, settings.webhook_secret)
        else:
            of_settings = (channel.c.org == settings.org) & (channel.c.name == _WEBHOOK)
            connection.execute(sa.update(channel).where(of_settings).values(enabled=False))


def server_key(data_dir: Path) -> Ed25519PrivateKey:
    """The key with which this server signs what it normalises itself; readable by its owner alone."""
    path = data_dir / "server.key"
    if path.exists():
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(raw)
    return key


def make_enrolment_token(
    engine: sa.Engine, org_id: str, *, uses: int, hours: int, now_ms: int, tags: Mapping[str, str] | None = None
) -> str:
    """A token with which that many hosts may enrol, and get these tags, until it expires; only its hash is kept.

    With the fingerprint of this server's authority behind it, see `with_fingerprint`, a host needs nothing else.
    """
    token = secrets.token_urlsafe(24)
    row = {
        "token_hash": hash_token(token),
        "org": org_id,
        "created_at": now_ms,
        "expires_at": now_ms + hours * _HOUR_MS,
        "uses_left": uses,
        "tags": dict(tags or {}),
    }
    with engine.begin() as connection:
        connection.execute(sa.insert(enrolment_token).values(row))
    return token


def with_fingerprint(token: str, settings: Settings) -> str:
    """The token as a person gives it to a host: over TLS with the fingerprint of the authority to trust."""
    known = "" if settings.loopback else fingerprint(settings.data_dir / "tls")
    return f"{token}@sha256:{known}" if known else token
