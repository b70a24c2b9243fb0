"""Where notifications go: the channels of an org."""

from __future__ import annotations

import base64
import secrets

import sqlalchemy as sa

from tocsin.state.tables import channel

__all__ = ["new_secret", "set_webhook"]

_SECRET_BYTES = 32


def new_secret() -> str:
    """A signing secret as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def set_webhook(connection: sa.Connection, org: str, name: str, url: str, secret: str = "") -> str:
    """Make or change the webhook channel of that name; gives its secret, kept from before if none is named."""
    mine = (channel.c.org == org) & (channel.c.name == name)
    config = connection.scalar(sa.select(channel.c.config).where(mine))
    kept = secret or (str(config.get("secret", "")) if isinstance(config, dict) else "") or new_secret()
    values = {"kind": "webhook", "config": {"url": url, "secret": kept}, "enabled": True}
    if config is None:
        connection.execute(sa.insert(channel).values(org=org, name=name, **values))
    else:
        connection.execute(sa.update(channel).where(mine).values(**values))
    return kept
